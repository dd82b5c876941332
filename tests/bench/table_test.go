package bench

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// table prints rows under a header, the first column to the left and all others to the
// right.
func table(title string, header []string, rows [][]string) {
	rows = append([][]string{header}, rows...)
	width := make([]int, len(header))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	fmt.Printf("\n%s\n\n", title)
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString(cell + gap)
			} else {
				line.WriteString("  " + gap + cell)
			}
		}
		fmt.Println(strings.TrimRight(line.String(), " "))
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }

func ratio(d, base time.Duration) string {
	if base == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", float64(d)/float64(base))
}
