package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var module = []byte("\x00asm\x01\x00\x00\x00")

func TestSameFilesMakeTheSameBytes(t *testing.T) {
	files := func() tree {
		return tree{
			"b":           {mode: 0o644, content: []byte("b")},
			"usr/bin/a":   {mode: 0o755, content: bytes.Repeat([]byte("a"), 1<<20)},
			"etc/release": {link: "../usr/release"},
			"tmp":         {mode: 0o1777, dir: true},
		}
	}
	first, err := files().pack()
	require.NoError(t, err)
	for range 8 { // the order of a map changes
		again, err := files().pack()
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
}

// The digests pin what gateways have cached: a change of these, with the same
// module, makes all of them load it again.
func TestFilterImages(t *testing.T) {
	for name, tt := range map[string]struct {
		make   func([]byte) (v1.Image, error)
		layers int
		digest string
	}{
		"compat":   {compatImage, 1, "sha256:d694706d640037288c243f6c8e51ab0cbe4c4e89fb61a537d8ad5edfe3068421"},
		"artifact": {artifactImage, 2, "sha256:4644ca5ab8fd943bdea78380511775653bade47c5023d14ace4dfb2adb9ae68f"},
	} {
		t.Run(name, func(t *testing.T) {
			img, err := tt.make(module)
			require.NoError(t, err)
			layers, err := img.Layers()
			require.NoError(t, err)
			assert.Len(t, layers, tt.layers)
			digest, err := img.Digest()
			require.NoError(t, err)
			assert.Equal(t, tt.digest, digest.String())
		})
	}
}

func TestPushTellsTheQuickstarts(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")

	dir := t.TempDir()
	compat, err := compatImage(module)
	require.NoError(t, err)
	artifact, err := artifactImage(module)
	require.NoError(t, err)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: compat})
	require.NoError(t, write(filepath.Join(dir, imageName), index))
	require.NoError(t, write(filepath.Join(dir, filterName), compat))
	require.NoError(t, write(filepath.Join(dir, artifactName), artifact))

	file := filepath.Join(dir, "kustomization.yaml")
	require.NoError(t, push(dir, host+"/team/", "v1", file))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for image, what := range map[string]interface{ Digest() (v1.Hash, error) }{imageName: index, filterName: compat, artifactName: artifact} {
		want, err := what.Digest()
		require.NoError(t, err)
		ref, err := name.ParseReference(host + "/team/" + image + ":v1")
		require.NoError(t, err)
		got, err := remote.Head(ref)
		require.NoError(t, err, image)
		assert.Equal(t, want, got.Digest, image)
		if image != artifactName {
			assert.Contains(t, string(text), want.String(), image)
		}
	}
	assert.Contains(t, string(text), "newName: "+host+"/team/antwort\n")
	assert.Contains(t, string(text), "value: oci://"+host+"/team/antwort-filter@sha256:")
}

func TestPushSaysWhatIsMissing(t *testing.T) {
	assert.ErrorContains(t, push(t.TempDir(), "", "v1", ""), "make push REGISTRY=")
	assert.ErrorContains(t, push(t.TempDir(), "Not A Registry", "v1", ""), "REGISTRY=Not A Registry")
	assert.ErrorContains(t, push(t.TempDir(), "registry.example/team", "v1", ""), "run make images first")
}

func TestLockIsComplete(t *testing.T) {
	debs, err := readLock("debian.lock")
	require.NoError(t, err)
	have := map[string]bool{}
	for _, d := range debs {
		have[d.name+" "+d.arch] = true
		assert.Len(t, d.sha256, 64, d.name)
	}
	for _, arch := range architectures {
		for _, pkg := range packages {
			assert.True(t, have[pkg+" "+arch], "%s for %s is missing: run make images-lock", pkg, arch)
		}
	}
}
