package bench

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// panel is one diagram: a line of medians for each stack, over sizes.
type panel struct {
	name    string
	stacks  []stack
	medians [][]time.Duration
}

// The diagrams stand in rows of three; both axes are logarithmic.
const (
	acrossPage        = 3
	panelWidth        = 300
	panelHeight       = 230
	left, top         = 50, 34
	inWidth, inHeight = 235, 150
)

const style = `  <style>
    /* light */
    .page { fill: #ffffff }
    text  { fill: #1f2328; font: 12px sans-serif }
    .name { font-weight: bold }
    .axis { fill: none; stroke: #59636e; stroke-width: 0.5 }
    .line { fill: none; stroke-width: 2 }
    .floor { stroke: #59636e } .pam_cgfs { stroke: #9a6700 } .forked { stroke: #0969da } .served { stroke: #1a7f37 }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117 }
      text  { fill: #f0f6fc }
      .axis, .floor { stroke: #9198a1 } .pam_cgfs { stroke: #d29922 } .forked { stroke: #4493f8 } .served { stroke: #3fb950 }
    }
  </style>
`

// plot writes the panels, and in the place after the last what the lines are.
func plot(b *testing.B, file string, panels []panel) {
	b.Helper()
	var svg strings.Builder
	height := (len(panels)/acrossPage + 1) * panelHeight
	fmt.Fprintf(&svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"title\">\n"+
		"  <title id=\"title\">What a login and logout take where there is much of something</title>\n%s  <rect class=\"page\" width=\"100%%\" height=\"100%%\"/>\n",
		acrossPage*panelWidth, height, style)
	lowest, highest := extent(panels)
	for i, p := range panels {
		place(&svg, i, func() { p.draw(&svg, lowest, highest) })
	}
	place(&svg, len(panels), func() {
		fmt.Fprintf(&svg, "    <text x=\"%d\" y=\"%d\">milliseconds, by how many there are</text>\n", left, top-14)
		for i, s := range panels[0].stacks {
			fmt.Fprintf(&svg, "    <path class=\"line %s\" d=\"M%d %dh30\"/><text x=\"%d\" y=\"%d\">%[1]s</text>\n", s.name, left, top+20*i, left+40, top+20*i+4)
		}
	})
	svg.WriteString("</svg>\n")
	if err := os.WriteFile(file, []byte(svg.String()), 0o644); err != nil {
		b.Fatal(err)
	}
}

func place(svg *strings.Builder, i int, draw func()) {
	fmt.Fprintf(svg, "  <g transform=\"translate(%d %d)\">\n", i%acrossPage*panelWidth, i/acrossPage*panelHeight)
	draw()
	svg.WriteString("  </g>\n")
}

// extent is the power of ten, of milliseconds, below all medians, and that above.
func extent(panels []panel) (lowest, highest float64) {
	var all []time.Duration
	for _, p := range panels {
		all = append(all, slices.Concat(p.medians...)...)
	}
	return math.Floor(exponent(slices.Min(all))), math.Ceil(exponent(slices.Max(all)))
}

func exponent(d time.Duration) float64 { return math.Log10(d.Seconds() * 1000) }

func (p panel) draw(svg *strings.Builder, lowest, highest float64) {
	x := func(i int) float64 { return left + float64(i)*inWidth/float64(len(sizes)-1) }
	y := func(e float64) float64 { return top + inHeight*(highest-e)/(highest-lowest) }
	fmt.Fprintf(svg, "    <text class=\"name\" x=\"%d\" y=\"%d\">%s</text>\n", left, top-14, p.name)
	for e := lowest; e <= highest; e++ {
		fmt.Fprintf(svg, "    <path class=\"axis\" d=\"M%d %.0fh%d\"/><text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%.0f</text>\n",
			left, y(e), inWidth, left-6, y(e)+4, math.Pow(10, e))
	}
	for i, size := range sizes {
		fmt.Fprintf(svg, "    <text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", x(i), top+inHeight+18, size)
	}
	for i, s := range p.stacks {
		var points []string
		for j, m := range p.medians[i] {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(j), y(exponent(m))))
		}
		fmt.Fprintf(svg, "    <polyline class=\"line %s\" points=\"%s\"/>\n", s.name, strings.Join(points, " "))
	}
}
