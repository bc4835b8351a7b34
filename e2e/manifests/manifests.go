// Package manifests builds what users apply with kubectl, for the tests that
// look at it without a cluster.
package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"sync"

	"antwort/e2e/checkout"

	"go.yaml.in/yaml/v3"
)

// Object is one Kubernetes object.
type Object map[string]any

func (o Object) text(path ...string) string {
	s, _ := o.at(path...).(string)
	return s
}

// at is the value at a path of keys, nil when there is none.
func (o Object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func (o Object) String() string { return o.text("kind") + "/" + o.text("metadata", "name") }

// Folders are those that can be applied: every kustomization that is not a
// component.
func Folders() ([]string, error) {
	var all []string
	for _, top := range []string{"quickstarts", "istio"} {
		err := filepath.WalkDir(filepath.Join(checkout.Root(), top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "kustomization.yaml" {
				return err
			}
			var k struct{ Kind string }
			if err := readYAML(path, &k); err != nil {
				return err
			}
			if k.Kind == "Kustomization" {
				rel, err := filepath.Rel(checkout.Root(), filepath.Dir(path))
				if err != nil {
					return err
				}
				all = append(all, rel)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// built is what kubectl has made of folders: each of the tests looks at all of them.
var built sync.Map // folder → func() ([]byte, error)

// Build gives what kubectl kustomize makes of a folder. What kubectl warns of is an error.
func Build(folder string) ([]Object, error) {
	once := sync.OnceValues(func() ([]byte, error) { return kustomize(folder) })
	get, _ := built.LoadOrStore(folder, once)
	text, err := get.(func() ([]byte, error))()
	if err != nil {
		return nil, err
	}
	return objects(bytes.NewReader(text))
}

func kustomize(folder string) ([]byte, error) {
	cmd := exec.Command("kubectl", "kustomize", filepath.Join(checkout.Root(), folder))
	var out, warnings bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &warnings
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("kubectl kustomize %s: %w: %s", folder, err, warnings.Bytes())
	}
	if warnings.Len() > 0 {
		return nil, fmt.Errorf("kubectl kustomize %s warns: %s", folder, warnings.Bytes())
	}
	return out.Bytes(), nil
}

func objects(r io.Reader) ([]Object, error) {
	var all []Object
	for dec := yaml.NewDecoder(r); ; {
		var o map[string]any
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if o != nil {
			all = append(all, Object(o))
		}
	}
}
