package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push sends the three layouts to the registry, with the credentials of docker
// login or podman login, and tells the quickstarts where they are.
func push(out, registry, tag, kustomization string) error {
	if registry == "" {
		return fmt.Errorf("say where to: make push REGISTRY=registry.example/team")
	}
	var pinned [3]string
	for i, image := range []string{imageName, filterName, artifactName} {
		ref, err := name.NewTag(strings.TrimSuffix(registry, "/") + "/" + image + ":" + tag)
		if err != nil {
			return fmt.Errorf("REGISTRY=%s: %w", registry, err)
		}
		digest, err := pushOne(filepath.Join(out, image), ref)
		if err != nil {
			return err
		}
		pinned[i] = ref.Context().Name() + "@" + digest.String()
		fmt.Println(ref, digest)
	}
	if kustomization == "" {
		return nil
	}
	antwort, digest, _ := strings.Cut(pinned[0], "@")
	text := fmt.Sprintf(quickstartImages, antwort, digest, pinned[1])
	if err := os.WriteFile(kustomization, []byte(text), 0o644); err != nil {
		return err
	}
	fmt.Println("written:", kustomization)
	return nil
}

// pushOne pushes the only member of a layout under the tag.
func pushOne(dir string, ref name.Tag) (v1.Hash, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("%w: run make images first", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	if len(manifest.Manifests) != 1 {
		return v1.Hash{}, fmt.Errorf("%s: want one image in it, got %d", dir, len(manifest.Manifests))
	}
	one := manifest.Manifests[0]
	auth := remote.WithAuthFromKeychain(authn.DefaultKeychain)
	if one.MediaType.IsIndex() {
		member, err := index.ImageIndex(one.Digest)
		if err != nil {
			return v1.Hash{}, err
		}
		err = remote.WriteIndex(ref, member, auth)
		return one.Digest, err
	}
	member, err := index.Image(one.Digest)
	if err != nil {
		return v1.Hash{}, err
	}
	return one.Digest, remote.Write(ref, member, auth)
}

// quickstartImages is the file that every quickstart includes.
const quickstartImages = `# Where the images of the quickstarts come from. ` + "`make images push REGISTRY=…`" + ` writes this file; every quickstart includes it.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
- name: antwort
  newName: %s
  digest: %s
patches:
- target: {kind: WasmPlugin}
  patch: |
    - op: replace
      path: /spec/url
      value: oci://%[3]s
- target: {kind: EnvoyFilter, name: antwort|antwort-frontend}
  patch: |
    - op: replace
      path: /spec/configPatches/0/patch/value/typed_config/config/vm_config/code/remote/http_uri/uri
      value: oci://%[3]s
`
