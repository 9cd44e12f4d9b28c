package views

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"

	"whalefall/models"
)

// unknown is shown for what is not known; the reason stands in a tooltip beside it.
const unknown = "—"

// Age of a figure from which on it is marked.
const (
	agingAfter = 24 * time.Hour
	staleAfter = 7 * 24 * time.Hour
)

var units = []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// Bytes is n in IEC units: one decimal place from 10 up, two below; whole bytes below 1 KiB; nil is "—".
func Bytes(n *int64) string {
	if n == nil {
		return unknown
	}
	return bytesOf(*n)
}

func bytesOf(n int64) string {
	sign, value := "", float64(n)
	if n < 0 {
		sign, value = "-", -value
	}
	if value < 1024 {
		return fmt.Sprintf("%s%.0f B", sign, value)
	}
	unit := -1
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	// 1023.96 KiB would read "1024.0 KiB".
	if math.Round(value*10)/10 >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	// 9.996 would read "10.00".
	decimals := 1
	if math.Round(value*100)/100 < 10 {
		decimals = 2
	}
	return sign + strconv.FormatFloat(value, 'f', decimals, 64) + " " + units[unit]
}

// Gain is a change of bytes with its sign; nil is "—".
func Gain(n *int64) string {
	if n == nil {
		return unknown
	}
	if *n > 0 {
		return "+" + bytesOf(*n)
	}
	return bytesOf(*n)
}

// Exact is n in bytes with thousands separators, for tooltips and copies; nil is "".
func Exact(n *int64) string {
	if n == nil {
		return ""
	}
	return humanize.Comma(*n) + " B"
}

// Count is n with thousands separators.
func Count(n int64) string { return humanize.Comma(n) }

// RowCount is the row count of a table: "≈" in front when it is an estimate; nil is "—".
func RowCount(n *int64, source models.RowsSource) string {
	switch {
	case n == nil:
		return unknown
	case source == models.RowsStatistic:
		return "≈" + Count(*n)
	}
	return Count(*n)
}

// Share is how much of the whole a part is, from 0 to 100; 0 when either is unknown.
func Share(part *int64, whole int64) float64 {
	if part == nil || whole <= 0 || *part <= 0 {
		return 0
	}
	return math.Min(100, 100*float64(*part)/float64(whole))
}

// Percent is a share as text: one decimal place, "<0.1%" for what would read 0.
func Percent(share float64) string {
	if share > 0 && share < 0.1 {
		return "<0.1%"
	}
	return strconv.FormatFloat(share, 'f', 1, 64) + "%"
}

// Clock is t in the page's zone to the minute, nil is "—".
func (p Page) Clock(t *time.Time) string {
	if t == nil {
		return unknown
	}
	return t.In(p.Zone).Format("2006-01-02 15:04")
}

// Seconds is t in the page's zone to the second.
func (p Page) Seconds(t time.Time) string { return t.In(p.Zone).Format(time.DateTime) }

// FullClock is t in the page's zone to the second, with the zone's name.
func (p Page) FullClock(t time.Time) string {
	return p.Seconds(t) + " " + p.Zone.String()
}

// Age is how long ago t was, in words.
func (p Page) Age(t time.Time) string {
	const day = 24 * time.Hour
	age := p.Now.Sub(t)
	for _, step := range []struct {
		from, unit time.Duration
		key        string
	}{
		{365 * day, 365 * day, "age.years"},
		{60 * day, 30 * day, "age.months"},
		{day, day, "age.days"},
		{time.Hour, time.Hour, "age.hours"},
		{time.Minute, time.Minute, "age.minutes"},
	} {
		if age >= step.from {
			return p.T(step.key, "N", int64(age/step.unit))
		}
	}
	return p.T("age.now")
}

// AgeClass is the severity of t's age: "fresh" up to a day, "aging" up to 7 days, "stale" from then on.
func (p Page) AgeClass(t time.Time) string {
	switch age := p.Now.Sub(t); {
	case age > staleAfter:
		return "stale"
	case age > agingAfter:
		return "aging"
	}
	return "fresh"
}

// Range is the position of a page in a list: "1–50 / 100,000".
func Range(offset, shown int, total int64) string {
	if shown == 0 {
		return "0 / " + Count(total)
	}
	return fmt.Sprintf("%s–%s / %s", Count(int64(offset)+1), Count(int64(offset+shown)), Count(total))
}

// Points are the points of a sparkline in a box of the given size; a flat history is a line in its middle.
func Points(history []int64, width, height float64) string {
	if len(history) < 2 {
		return ""
	}
	low, high := history[0], history[0]
	for _, v := range history {
		low, high = min(low, v), max(high, v)
	}
	var b strings.Builder
	for i, v := range history {
		x, y := width*float64(i)/float64(len(history)-1), height/2
		if high > low {
			y = height - height*(float64(v)-float64(low))/(float64(high)-float64(low))
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", x, y)
	}
	return strings.TrimSpace(b.String())
}

func itoa(n int) string { return strconv.Itoa(n) }

func id(n int64) string { return strconv.FormatInt(n, 10) }

// plain is n in digits only; nil is "".
func plain(n *int64) string {
	if n == nil {
		return ""
	}
	return id(*n)
}

// orReason is text, or why there is none.
func orReason(text, reason string) string {
	if text == "" {
		return reason
	}
	return text
}

func shareTitle(p Page, n *int64, whole int64, reason string) string {
	if n == nil || whole <= 0 {
		return orReason(Exact(n), reason)
	}
	return Exact(n) + " · " + p.T("size.share") + " " + Percent(Share(n, whole))
}

// visible is a name with its control characters as their pictures, "␊" for a newline.
func visible(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ':
			return r + 0x2400
		case r == 0x7f:
			return 0x2421
		case unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, name)
}

// untruncated is how many bytes of a name fit into the narrowest column, see .truncate in app.css.
const untruncated = 20

// nameTitle returns the tooltip of a name that the page may truncate or does not show as it is; empty: it needs none.
func nameTitle(name string) string {
	if len(name) <= untruncated && visible(name) == name {
		return ""
	}
	return name
}

// barWidth returns the share that a part has of the whole as the width of a bar.
func barWidth(part *int64, whole int64) string {
	return strconv.FormatFloat(math.Round(Share(part, whole)*10)/10, 'f', -1, 64) + "%"
}
