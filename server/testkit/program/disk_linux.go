package program

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// diskVariable tells a process that it is one with a disk of its own.
const diskVariable = "TESTKIT_DISK"

// Disk gives a test a disk of so many bytes, which can be filled and made read-only, and which
// no other process sees. For that the test is run in a process of its own, with its own
// mounts: only there mine is true. Elsewhere the test has nothing more to do: it fails or
// is skipped as it was there. t is of no subtest.
func Disk(t *testing.T, size int) (folder string, mine bool) {
	t.Helper()
	if os.Getenv(diskVariable) == "" {
		apart(t)
		return "", false
	}
	folder = t.TempDir()
	if err := syscall.Mount("disk", folder, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("no disk can be mounted: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(folder, syscall.MNT_DETACH)) })
	return folder, true
}

// apart runs a test in a process of its own.
func apart(t *testing.T) {
	t.Helper()
	args := []string{"-test.v", "-test.run=^" + t.Name() + "$"}
	flag.Visit(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, "test.") { // it is the package's own
			args = append(args, "-"+f.Name+"="+f.Value.String())
		}
	})
	cmd := exec.Command(os.Args[0], args...) //nolint:gosec // it is the test itself
	cmd.Env = append(os.Environ(), diskVariable+"=1")
	cmd.SysProcAttr = Dying(syscall.SIGKILL)
	cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 { // root of a world of its own may mount
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Start()
	if err != nil {
		t.Skipf("no process can have mounts of its own here: %v", err)
	}
	err = cmd.Wait()
	if strings.Contains(out.String(), "--- SKIP: "+t.Name()) {
		t.Skip(out.String())
	}
	require.NoError(t, err, out.String())
	require.Contains(t, out.String(), "--- PASS: "+t.Name())
}

// Fill leaves no room on a disk. What it returns makes room again.
func Fill(t *testing.T, folder string) (free func()) {
	t.Helper()
	f, err := os.CreateTemp(folder, "filler")
	require.NoError(t, err)
	for block := make([]byte, 64<<10); len(block) > 0; { // down to the last byte
		if _, err := f.Write(block); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			block = block[:len(block)/2]
		}
	}
	require.NoError(t, f.Close())
	return func() { require.NoError(t, os.Remove(f.Name())) }
}

// ReadOnly lets nobody write to a file, or to all that is in a folder, of a Disk, until the
// process ends.
func ReadOnly(t *testing.T, place string) {
	t.Helper()
	require.NoError(t, syscall.Mount(place, place, "", syscall.MS_BIND, ""))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(place, syscall.MNT_DETACH)) })
	require.NoError(t, syscall.Mount("", place, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
}
