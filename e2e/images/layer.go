package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"path"
	"sort"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// tree is the files of a layer by path, without the leading slash.
type tree map[string]file

type file struct {
	mode    int64
	content []byte
	link    string // target of a symbolic link
	dir     bool   // an empty folder; those of files need no entry
}

// layer is the tree as a compressed layer. The same tree makes the same bytes:
// sorted names, no times, root as owner.
func (t tree) layer() (v1.Layer, error) {
	packed, err := t.pack()
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil },
		tarball.WithMediaType(types.OCILayer))
}

func (t tree) pack() ([]byte, error) {
	all := make(tree, len(t))
	for name, f := range t {
		all[name] = f
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, there := all[dir]; !there {
				all[dir] = file{mode: 0o755, dir: true}
			}
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	for _, name := range names {
		f := all[name]
		head := &tar.Header{Name: name, Mode: f.mode, Size: int64(len(f.content)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		switch {
		case f.dir:
			head.Name, head.Typeflag = name+"/", tar.TypeDir
		case f.link != "":
			head.Typeflag, head.Linkname, head.Mode = tar.TypeSymlink, f.link, 0o777
		}
		if err := w.WriteHeader(head); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
