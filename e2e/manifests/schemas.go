package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"antwort/e2e/checkout"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// Schemas checks objects against the OpenAPI of Kubernetes and the CRDs of
// Istio, Gateway API, OpenShift and the Prometheus Operator. All come out of Go modules: those of the
// cluster tests, in the same versions, and one more.
type Schemas struct{ of map[string]*jsonschema.Schema }

// routes is where the CRD of OpenShift's Route is.
const (
	routes    = "github.com/openshift/api@v0.0.0-20251015095338-264e80a2b6e7"
	routesSum = "h1:Ot2fbEEPmF3WlPQkyEW/bUCV38GMugH/UmZvxpWceNc="
)

// operator is where the CRDs of the Prometheus Operator are.
const (
	operator    = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	operatorSum = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
)

// LoadSchemas downloads the modules unless they are there.
func LoadSchemas() (*Schemas, error) {
	s := &Schemas{of: map[string]*jsonschema.Schema{}}
	kubernetes, err := module("k8s.io/kubernetes", "")
	if err != nil {
		return nil, err
	}
	if err := s.openAPI(filepath.Join(kubernetes, "api/openapi-spec/swagger.json")); err != nil {
		return nil, err
	}
	for _, m := range []struct{ path, sum, files string }{
		{"istio.io/istio", "", "manifests/charts/base/files/crd-all.gen.yaml"},
		{"sigs.k8s.io/gateway-api", "", "config/crd/standard/*.yaml"},
		{operator, operatorSum, "example/prometheus-operator-crd/monitoring.coreos.com_*.yaml"},
		{routes, routesSum, "route/v1/zz_generated.crd-manifests/routes.crd.yaml"},
	} {
		dir, err := module(m.path, m.sum)
		if err != nil {
			return nil, err
		}
		files, err := filepath.Glob(filepath.Join(dir, m.files))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.files, err)
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("%s has no %s", m.path, m.files)
		}
		for _, file := range files {
			if err := s.definitions(file); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return s, nil
}

// module is the folder of a module. Its checksum is that of the cluster's
// go.sum, or the one given.
func module(path, sum string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", path)
	cmd.Dir = filepath.Join(checkout.Root(), "e2e", "cluster", "controlplane")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go mod download %s: %w: %s", path, err, out)
	}
	var m struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", err
	}
	if sum != "" && m.Sum != sum {
		return "", fmt.Errorf("%s: checksum is %s, want %s", path, m.Sum, sum)
	}
	return m.Dir, nil
}

// openAPI adds what Kubernetes itself knows. Objects are closed: an unknown
// field is an error, as the API server's strict validation has it.
func (s *Schemas) openAPI(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	definitions := doc.(map[string]any)["definitions"].(map[string]any)
	for name, d := range definitions {
		d := d.(map[string]any)
		switch name {
		case "io.k8s.apimachinery.pkg.api.resource.Quantity":
			d["type"] = []any{"string", "number"}
		case "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
			d["type"] = []any{"string", "integer"}
		}
		delete(d, "format")
		if d["properties"] != nil && d["additionalProperties"] == nil {
			d["additionalProperties"] = false
		}
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("kubernetes.json", map[string]any{"definitions": definitions}); err != nil {
		return err
	}
	for name, d := range definitions {
		kinds, _ := d.(map[string]any)["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // those of many groups are DeleteOptions and the like
			continue
		}
		k := kinds[0].(map[string]any)
		schema, err := c.Compile("kubernetes.json#/definitions/" + name)
		if err != nil {
			return err
		}
		s.of[id(k["group"].(string), k["version"].(string), k["kind"].(string))] = schema
	}
	return nil
}

func id(group, version, kind string) string {
	if group == "" {
		return version + " " + kind
	}
	return group + "/" + version + " " + kind
}

// definitions adds the kinds of a file of CRDs.
func (s *Schemas) definitions(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	all, err := objects(bytes.NewReader(text))
	if err != nil {
		return err
	}
	for _, crd := range all {
		if crd.text("kind") != "CustomResourceDefinition" {
			continue
		}
		versions, _ := crd.at("spec", "versions").([]any)
		for _, v := range versions {
			v := Object(v.(map[string]any))
			root := v.at("schema", "openAPIV3Schema").(map[string]any)
			properties := root["properties"].(map[string]any)
			for _, name := range []string{"apiVersion", "kind", "metadata"} {
				properties[name] = true
			}
			c := jsonschema.NewCompiler()
			name := id(crd.text("spec", "group"), v.text("name"), crd.text("spec", "names", "kind"))
			plain, err := plainJSON(closed(root))
			if err != nil {
				return err
			}
			url := strings.ReplaceAll(name, " ", "/") + ".json"
			if err := c.AddResource(url, plain); err != nil {
				return err
			}
			if s.of[name], err = c.Compile(url); err != nil {
				return err
			}
		}
	}
	return nil
}

// closed makes objects refuse what they do not name, as the API server prunes
// it, and takes out what JSON Schema does not know.
func closed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, member := range v {
			if member != nil && key != "format" && key != "default" && key != "description" && key != "example" {
				out[key] = closed(member)
			}
		}
		if v["x-kubernetes-int-or-string"] == true {
			out["type"] = []any{"integer", "string"}
		}
		_, hasProperties := v["properties"].(map[string]any)
		if hasProperties && v["type"] == "object" && v["additionalProperties"] == nil && v["x-kubernetes-preserve-unknown-fields"] != true {
			out["additionalProperties"] = false
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = closed(v[i])
		}
		return out
	}
	return v
}

// plainJSON is v with the types of a JSON decoder.
func plainJSON(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// Check returns what is wrong with an object.
func (s *Schemas) Check(o Object) error {
	name := o.text("apiVersion") + " " + o.text("kind")
	schema := s.of[name]
	if schema == nil {
		return fmt.Errorf("%s: there is no such kind", name)
	}
	v, err := plainJSON(o)
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

func readYAML(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
