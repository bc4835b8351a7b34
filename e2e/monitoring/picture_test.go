package monitoring

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var draw = flag.Bool("draw", false, "draw docs/monitoring.svg from the data of the dashboard's queries")

// seen is how long what is drawn was looked at.
const seen = 90 * time.Second

// picture draws what the dashboard's panels have shown, each query's data as Prometheus
// gave it.
func picture(t *testing.T, at string, panels []panel) {
	t.Helper()
	time.Sleep(seen)
	const w, h, columns = 400, 190, 3
	var b strings.Builder
	rows := (len(panels) + columns - 1) / columns
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11"><rect width="100%%" height="100%%" fill="#fff"/>`+"\n", w*columns, h*rows)
	colours := []string{"#3274d9", "#e0752d", "#37872d", "#c4162a", "#8f3bb8", "#6d5a00", "#008080", "#888"}
	now := time.Now()
	for i, p := range panels {
		x, y := i%columns*w, i/columns*h
		fmt.Fprintf(&b, `<g transform="translate(%d %d)"><text x="12" y="18" font-weight="bold">%s</text>`, x, y, p.Title)
		lines := map[string][][2]float64{}
		most := 0.0
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$job", ".*", "$__rate_interval", "30s").Replace(target.Expr)
			for name, points := range series(t, at, expr, now) {
				lines[name] = points
				for _, point := range points {
					most = max(most, point[1])
				}
			}
		}
		fmt.Fprintf(&b, `<text x="12" y="36" fill="#666">%.4g</text><path d="M12 40H388M12 140H388" stroke="#ddd"/>`, most)
		for n, name := range slices.Sorted(maps.Keys(lines)) {
			colour := colours[n%len(colours)]
			var path strings.Builder
			for m, point := range lines[name] {
				fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(m, 1)], 12+376*point[0], 140-100*point[1]/max(most, 1e-9))
			}
			fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, path.String(), colour)
			if n < 3 {
				fmt.Fprintf(&b, `<text x="12" y="%d" fill="%s">%s</text>`, 154+12*n, colour, strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(name))
			}
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	require.NoError(t, os.WriteFile("../../docs/monitoring.svg", []byte(b.String()), 0o644)) //nolint:gosec // for everybody
}

// series are the data of a query, by its labels: how far in time, from 0 to 1, and the value.
func series(t *testing.T, at, expr string, now time.Time) map[string][][2]float64 {
	t.Helper()
	from := now.Add(-seen)
	resp, err := http.Get(fmt.Sprintf("http://%s/api/v1/query_range?query=%s&start=%d&end=%d&step=2", at, url.QueryEscape(expr), from.Unix(), now.Unix()))
	require.NoError(t, err)
	defer resp.Body.Close()
	var said struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&said))
	all := map[string][][2]float64{}
	for _, r := range said.Data.Result {
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(r.Metric)) {
			if name != "__name__" && r.Metric[name] != "" {
				value := r.Metric[name]
				if strings.HasPrefix(value, "http://127.") { // a port of this run
					value = "http://…"
				}
				labels = append(labels, value)
			}
		}
		var points [][2]float64
		for _, v := range r.Values {
			value, _ := strconv.ParseFloat(v[1].(string), 64)
			if value == value { //nolint:staticcheck // NaN is none
				points = append(points, [2]float64{(v[0].(float64) - float64(from.Unix())) / seen.Seconds(), value})
			}
		}
		if len(points) > 0 {
			name := strings.Join(labels, " ")
			if strings.Contains(expr, "quantile(0.5") {
				name = "p50 " + name
			} else if strings.Contains(expr, "quantile(0.99") {
				name = "p99 " + name
			}
			all[name] = points
		}
	}
	return all
}
