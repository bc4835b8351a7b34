package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCameBack(t *testing.T) {
	hop := Hop("abc")
	for _, values := range [][]string{
		{hop}, {"other, " + hop}, {"other", hop}, {hop + ";a=b, other"}, {" \t" + hop + " ; a=\"x,y\""}, {"a;b=\"c,d\"," + hop},
	} {
		assert.True(t, CameBack(values, hop), "%q", values)
	}
	for _, values := range [][]string{nil, {""}, {","}, {Hop("abcd")}, {"x" + hop}, {Hop("ab")}, {"a;b=" + hop}} {
		assert.False(t, CameBack(values, hop), "%q", values)
	}
}
