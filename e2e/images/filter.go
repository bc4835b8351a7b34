package main

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Neither form says when or of which commit it was made: the same filter has
// the same digest, and gateways need not load it again.

// compatImage is the filter as an ordinary image of one layer, which every
// registry takes.
func compatImage(filter []byte) (v1.Image, error) {
	layer, err := tree{"plugin.wasm": {mode: 0o644, content: filter}}.layer()
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	return mutate.AppendLayers(img, layer)
}

// Media types of the Wasm artifact image.
const (
	wasmConfig = "application/vnd.module.wasm.config.v1+json"
	wasmLayer  = "application/vnd.module.wasm.content.layer.v1+wasm"
	wasmInfo   = "application/vnd.module.wasm.config.v1+json"
)

// artifactImage is the filter as an OCI artifact. Istio wants exactly two
// layers in it and takes the one whose media type says that it is the module.
func artifactImage(filter []byte) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), wasmConfig)
	return mutate.AppendLayers(img,
		static.NewLayer([]byte(`{"type":"envoy_proxy","abi":"0.2.0"}`), wasmInfo),
		static.NewLayer(filter, wasmLayer))
}
