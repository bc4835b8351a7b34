package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// packages of Debian that the image takes files from. Envoy is linked with
// glibc; antwort needs nothing of it.
var packages = []string{"base-files", "ca-certificates", "libc6"}

// deb is one package of one architecture, as debian.lock pins it.
type deb struct{ name, version, arch, sha256 string }

func readLock(name string) ([]deb, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var all []deb
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 4 {
			return nil, fmt.Errorf("%s:%d: want name, version, architecture and sha256", name, i+1)
		}
		all = append(all, deb{f[0], f[1], f[2], f[3]})
	}
	return all, nil
}

// writeLock pins what this machine's Debian sources have now.
func writeLock(cache, name string) error {
	var out strings.Builder
	out.WriteString("# Debian packages in the image: name, version, architecture, sha256. Written by make images-lock.\n")
	for _, arch := range architectures {
		for _, pkg := range packages {
			a, err := newApt(cache, arch)
			if err != nil {
				return err
			}
			d, err := a.candidate(pkg)
			if err != nil {
				return err
			}
			fmt.Fprintln(&out, d.name, d.version, d.arch, d.sha256)
		}
	}
	return os.WriteFile(name, []byte(out.String()), 0o644)
}

// apt is apt-get with lists of its own: the machine's architectures and lists
// stay as they are.
type apt struct {
	dir, arch string
	options   []string
}

func newApt(cache, arch string) (*apt, error) {
	dir, err := filepath.Abs(filepath.Join(cache, "apt-"+arch))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755); err != nil {
		return nil, err
	}
	sources := "/etc/apt/sources.list.d/debian.sources"
	if _, err := os.Stat(sources); err != nil {
		sources = "/etc/apt/sources.list"
	}
	a := &apt{dir: dir, arch: arch, options: []string{"-qq",
		"-o", "APT::Architecture=" + arch, "-o", "APT::Architectures=" + arch,
		"-o", "Dir::Etc::sourcelist=" + sources, "-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::State::lists=" + filepath.Join(dir, "lists"), "-o", "Dir::Cache=" + dir, "-o", "APT::Sandbox::User=root"}}
	if _, err := os.Stat(filepath.Join(dir, "updated")); err == nil {
		return a, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, errors.New("there is no apt-get: build on Debian 12, or use the Containerfile")
	}
	if _, err := a.run("apt-get", "update"); err != nil {
		return nil, err
	}
	return a, os.WriteFile(filepath.Join(dir, "updated"), nil, 0o644)
}

func (a *apt) run(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, append(a.options, args...)...)
	cmd.Dir = a.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s (%s): %w: %s", name, strings.Join(args, " "), a.arch, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// candidate is the newest version of a package.
func (a *apt) candidate(pkg string) (deb, error) {
	out, err := a.run("apt-cache", "show", "--no-all-versions", pkg)
	if err != nil {
		return deb{}, err
	}
	d := deb{name: pkg, arch: a.arch}
	for _, line := range strings.Split(string(out), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "Version":
			d.version = value
		case "SHA256":
			d.sha256 = value
		}
	}
	return d, nil
}

// fetch returns the package's path, downloaded unless it is there.
func (b *build) fetch(d deb) (string, error) {
	file := filepath.Join(b.cache, d.name+"_"+d.arch+"_"+d.sha256[:12]+".deb")
	if sum, err := sumFile(file); err == nil && sum == d.sha256 {
		return file, nil
	}
	a, err := newApt(b.cache, d.arch)
	if err != nil {
		return "", err
	}
	if _, err := a.run("apt-get", "download", d.name+"="+d.version); err != nil {
		os.Remove(filepath.Join(a.dir, "updated")) // old lists name files that have gone
		return "", fmt.Errorf("%w\nIf Debian has replaced this version, run make images-lock and commit the new debian.lock", err)
	}
	got, err := filepath.Glob(filepath.Join(a.dir, d.name+"_*.deb"))
	if err != nil || len(got) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d files in %s, want one", d.name, len(got), a.dir)
	}
	sum, err := sumFile(got[0])
	if err != nil {
		return "", err
	}
	if sum != d.sha256 {
		return "", fmt.Errorf("%s: sha256 is %s, debian.lock says %s", got[0], sum, d.sha256)
	}
	return file, os.Rename(got[0], file)
}

func sumFile(name string) (string, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}

// debian is the base layer: glibc's loader and libraries, the certificate
// authorities, and what tells scanners of vulnerabilities where they are from.
func (b *build) debian(arch string, debs []deb) (tree, error) {
	base := tree{
		"etc/passwd":        {mode: 0o644, content: []byte("root:x:0:0:root:/:/sbin/nologin\nantwort:x:65532:65532:antwort:/:/sbin/nologin\n")},
		"etc/group":         {mode: 0o644, content: []byte("root:x:0:\nantwort:x:65532:\n")},
		"etc/nsswitch.conf": {mode: 0o644, content: []byte("passwd: files\ngroup: files\nhosts: files dns\n")},
		"tmp":               {mode: 0o1777, dir: true},
	}
	authorities := tree{}
	for _, d := range debs {
		if d.arch != arch {
			continue
		}
		name, err := b.fetch(d)
		if err != nil {
			return nil, err
		}
		files, err := unpack(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for at, f := range files {
			switch {
			case d.name == "libc6" && isRuntime(path.Base(at)), at == "usr/share/doc/"+d.name+"/copyright", at == "usr/lib/os-release":
				base[at] = f
			case d.name == "ca-certificates" && strings.HasSuffix(at, ".crt"):
				authorities[at] = f
			}
		}
		control, err := exec.Command("dpkg-deb", "--field", name).Output()
		if err != nil {
			return nil, fmt.Errorf("dpkg-deb --field %s: %w", name, err)
		}
		base["var/lib/dpkg/status.d/"+d.name] = file{mode: 0o644, content: control}
	}
	base["etc/os-release"] = file{link: "../usr/lib/os-release"}
	base["etc/ssl/certs/ca-certificates.crt"] = file{mode: 0o644, content: authorities.concatenated()}
	return base, nil
}

// isRuntime reports whether Envoy needs this file of libc6.
func isRuntime(name string) bool {
	switch name {
	case "libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2":
		return true
	}
	return strings.HasPrefix(name, "ld-linux-")
}

func (t tree) concatenated() []byte {
	names := make([]string, 0, len(t))
	for name := range t {
		names = append(names, name)
	}
	sort.Strings(names)
	var out []byte
	for _, name := range names {
		out = append(out, bytes.TrimRight(t[name].content, "\n")...)
		out = append(out, '\n')
	}
	return out
}

// unpack reads the files of a package.
func unpack(name string) (tree, error) {
	packed, err := exec.Command("dpkg-deb", "--fsys-tarfile", name).Output()
	if err != nil {
		return nil, fmt.Errorf("dpkg-deb: %w", err)
	}
	files := tree{}
	for r := tar.NewReader(bytes.NewReader(packed)); ; {
		head, err := r.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		at := path.Clean(strings.TrimPrefix(head.Name, "./"))
		switch head.Typeflag {
		case tar.TypeReg:
			content, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			files[at] = file{mode: head.Mode & 0o777, content: content}
		case tar.TypeSymlink:
			files[at] = file{link: head.Linkname}
		}
	}
}
