package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// installPython makes the virtual environment of the Python suites.
func installPython(r *runner) error {
	lock := filepath.Join(r.e2e, "clients", "python", "requirements.txt")
	venv := filepath.Join(r.cache, "python")
	return r.once("python", lock, func() error {
		if err := os.RemoveAll(venv); err != nil {
			return err
		}
		if err := r.tool("", "python3", "-m", "venv", venv); err != nil {
			return err
		}
		return r.tool("", filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "-q", "-r", lock)
	})
}

// installNode installs beside package.json, where Node looks for modules.
func installNode(r *runner) error {
	dir := filepath.Join(r.e2e, "clients", "node")
	return r.once("node", filepath.Join(dir, "package-lock.json"), func() error {
		return r.tool(dir, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	})
}

// once runs install unless it has succeeded with the same lock file before.
func (r *runner) once(name, lock string, install func() error) error {
	b, err := os.ReadFile(lock)
	if err != nil {
		return err
	}
	stamp, want := filepath.Join(r.cache, name+".installed"), fmt.Sprintf("%x\n", sha256.Sum256(b))
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return nil
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	start := time.Now()
	r.say("install the %s packages …", name)
	if err := install(); err != nil {
		return fmt.Errorf("install the %s packages: %w", name, err)
	}
	r.say("install the %s packages: %.0f s", name, time.Since(start).Seconds())
	return os.WriteFile(stamp, []byte(want), 0o644)
}

func (r *runner) tool(dir, name string, args ...string) error {
	cmd := exec.CommandContext(r.ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}
