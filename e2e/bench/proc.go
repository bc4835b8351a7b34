package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tree returns pid and its descendants.
func tree(pid int) []int {
	pids := []int{pid}
	for _, t := range tasks(pid) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t))
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				pids = append(pids, tree(child)...)
			}
		}
	}
	return pids
}

// tasks are the threads of a process.
func tasks(pid int) (ids []string) {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids
}

// cpu returns the CPU time that the threads of the processes and their children
// have used. The scheduler counts it in nanoseconds; /proc/PID/stat, which also
// knows threads that have ended, in units of 10 ms.
func cpu(roots []int) (sum time.Duration) {
	for _, root := range roots {
		for _, pid := range tree(root) {
			for _, t := range tasks(pid) {
				b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, t))
				if f := strings.Fields(string(b)); len(f) > 0 {
					n, _ := strconv.ParseInt(f[0], 10, 64)
					sum += time.Duration(n)
				}
			}
		}
	}
	return sum
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
