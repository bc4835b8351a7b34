//go:build !race

package translate_test

const raceEnabled = false
