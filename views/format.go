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

// unknown stands for a missing value; its tooltip gives the reason.
const unknown = "—"

// Ages from which an age badge is amber and red, see AgeClass and .age in app.css.
const (
	agingAfter = 24 * time.Hour
	staleAfter = 7 * 24 * time.Hour
)

var units = []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// Bytes formats n bytes in IEC units: two decimal places below 10, one from 10 up, none below 1 KiB. nil becomes "—".
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

// Gain formats a change of n bytes with its sign. nil becomes "—".
func Gain(n *int64) string {
	if n == nil {
		return unknown
	}
	if *n > 0 {
		return "+" + bytesOf(*n)
	}
	return bytesOf(*n)
}

// Exact formats n bytes in full, with thousands separators: "4,096 B". Copying cells relies on this form, see app.js.
// nil becomes "".
func Exact(n *int64) string {
	if n == nil {
		return ""
	}
	return humanize.Comma(*n) + " B"
}

// Count formats n with thousands separators.
func Count(n int64) string { return humanize.Comma(n) }

// RowCount formats the row count of a table, with "≈" in front of an estimate. nil becomes "—".
func RowCount(n *int64, source models.RowsSource) string {
	switch {
	case n == nil:
		return unknown
	case source == models.RowsStatistic:
		return "≈" + Count(*n)
	}
	return Count(*n)
}

// Share returns the percentage that part is of whole, from 0 to 100; 0 when either is unknown.
func Share(part *int64, whole int64) float64 {
	if part == nil || whole <= 0 || *part <= 0 {
		return 0
	}
	return math.Min(100, 100*float64(*part)/float64(whole))
}

// Percent formats a share with one decimal place; what would read 0 becomes "<0.1%".
func Percent(share float64) string {
	if share > 0 && share < 0.1 {
		return "<0.1%"
	}
	return strconv.FormatFloat(share, 'f', 1, 64) + "%"
}

// Clock formats t to the minute in the page's zone. nil becomes "—".
func (p Page) Clock(t *time.Time) string {
	if t == nil {
		return unknown
	}
	return t.In(p.Zone).Format("2006-01-02 15:04")
}

// Seconds formats t to the second in the page's zone.
func (p Page) Seconds(t time.Time) string { return t.In(p.Zone).Format(time.DateTime) }

// FullClock formats t to the second in the page's zone, followed by the zone's name.
func (p Page) FullClock(t time.Time) string {
	return p.Seconds(t) + " " + p.Zone.String()
}

// Age returns in words how long ago t was.
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

// AgeClass returns the class of an age badge: "fresh" up to a day, "aging" up to 7 days, then "stale".
func (p Page) AgeClass(t time.Time) string {
	switch age := p.Now.Sub(t); {
	case age > staleAfter:
		return "stale"
	case age > agingAfter:
		return "aging"
	}
	return "fresh"
}

// Range formats the position of a page in a list: "1–50 / 100,000".
func Range(offset, shown int, total int64) string {
	if shown == 0 {
		return "0 / " + Count(total)
	}
	return fmt.Sprintf("%s–%s / %s", Count(int64(offset)+1), Count(int64(offset+shown)), Count(total))
}

// Points returns the points of a sparkline that fills a box of the given size. A flat history runs through its middle;
// fewer than two values have no line.
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

// digits formats n without separators. nil becomes "".
func digits(n *int64) string {
	if n == nil {
		return ""
	}
	return id(*n)
}

// orReason returns text, or reason when text is empty.
func orReason(text, reason string) string {
	if text == "" {
		return reason
	}
	return text
}

// shareTitle returns the tooltip of a size: its exact bytes and its share of the whole, or the reason why it is
// unknown.
func shareTitle(p Page, n *int64, whole int64, reason string) string {
	if n == nil || whole <= 0 {
		return orReason(Exact(n), reason)
	}
	return Exact(n) + " · " + p.T("size.share") + " " + Percent(Share(n, whole))
}

// visible replaces the control characters of a name with their pictures ("␊" for a newline) and those that change the
// reading direction, which could make one name look like another.
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

// untruncated is how many bytes of a name always fit into its column, see .truncate in app.css.
const untruncated = 20

// nameTitle returns the tooltip of a name that may be truncated or is not shown as it is, else "".
func nameTitle(name string) string {
	if len(name) <= untruncated && visible(name) == name {
		return ""
	}
	return name
}

// barWidth returns the share of part in whole as the width of a bar: "12.3%".
func barWidth(part *int64, whole int64) string {
	return strconv.FormatFloat(math.Round(Share(part, whole)*10)/10, 'f', -1, 64) + "%"
}
