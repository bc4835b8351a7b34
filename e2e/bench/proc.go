package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc (USER_HZ), the same on all Linux.
const tick = 10 * time.Millisecond

// tree returns pid and its descendants.
func tree(pid int) []int {
	pids := []int{pid}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				pids = append(pids, tree(child)...)
			}
		}
	}
	return pids
}

// cpu returns the CPU time that the processes and their children have used.
func cpu(roots []int) time.Duration {
	var ticks int64
	for _, root := range roots {
		for _, pid := range tree(root) {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil {
				continue
			}
			f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
			for _, field := range f[11:13] { // utime, stime
				n, _ := strconv.ParseInt(field, 10, 64)
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * tick
}

// rss returns the resident memory of the processes and their children, in bytes.
func rss(roots []int) (sum int64) {
	for _, root := range roots {
		for _, pid := range tree(root) {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if _, after, ok := strings.Cut(string(b), "VmRSS:"); ok {
				n, _ := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
				sum += n << 10
			}
		}
	}
	return sum
}
