package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// architectures of the antwort image.
var architectures = []string{"amd64", "arm64"}

// build is one run of the command of that name.
type build struct {
	binaries, filter, requirements, cache, lock, out string
	version, revision                                string
	created                                          time.Time
}

func (b *build) run() error {
	debs, err := readLock(b.lock)
	if err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range architectures {
		img, err := b.image(arch, debs)
		if err != nil {
			return fmt.Errorf("image antwort for %s: %w", arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: arch}}}).(v1.ImageIndex)
	}
	var digests strings.Builder
	if err := b.keep(imageName, index, &digests); err != nil {
		return err
	}
	if err := b.filters(&digests); err != nil {
		return err
	}
	fmt.Print(digests.String())
	return os.WriteFile(filepath.Join(b.out, "digests.txt"), []byte(digests.String()), 0o644)
}

// filters builds the two images of the filter.
func (b *build) filters(digests *strings.Builder) error {
	filter, err := os.ReadFile(b.filter)
	if err != nil {
		return err
	}
	compat, err := compatImage(filter)
	if err != nil {
		return fmt.Errorf("image %s: %w", filterName, err)
	}
	artifact, err := artifactImage(filter)
	if err != nil {
		return fmt.Errorf("image %s: %w", artifactName, err)
	}
	if err := b.keep(filterName, compat, digests); err != nil {
		return err
	}
	return b.keep(artifactName, artifact, digests)
}

// keep writes an image or an index as a layout and notes its digest.
func (b *build) keep(name string, what interface{ Digest() (v1.Hash, error) }, digests *strings.Builder) error {
	if err := write(filepath.Join(b.out, name), what); err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}
	digest, err := what.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(digests, "%s %s\n", name, digest)
	return nil
}

// Names of the images: the program, and the filter as a one-layer image and as
// an OCI artifact.
const (
	imageName    = "antwort"
	filterName   = "antwort-filter"
	artifactName = "antwort-filter-oci"
)

// write replaces the layout in dir by one with this image or index.
func write(dir string, what any) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if index, ok := what.(v1.ImageIndex); ok {
		return path.AppendIndex(index)
	}
	return path.AppendImage(what.(v1.Image))
}
