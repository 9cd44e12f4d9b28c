package views

import (
	"math"
	"testing"
	"time"

	"whalefall/models"
)

func ref[T any](v T) *T { return new(v) }

func TestBytes(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		n    *int64
		want string
	}{
		{nil, "—"},
		{new(int64(0)), "0 B"},
		{new(int64(1)), "1 B"},
		{new(int64(1023)), "1023 B"},
		{new(int64(1024)), "1.00 KiB"},
		{new(int64(1536)), "1.50 KiB"},
		{new(int64(8192)), "8.00 KiB"},
		{new(int64(10234)), "9.99 KiB"},
		{new(int64(10238)), "10.0 KiB"}, // 9.998: two places would read 10.00
		{new(int64(10240)), "10.0 KiB"},
		{new(int64(1048524)), "1023.9 KiB"},
		{new(int64(1048575)), "1.00 MiB"}, // 1023.999 KiB
		{new(int64(1 << 20)), "1.00 MiB"},
		{new(int64(5 << 30)), "5.00 GiB"},
		{new(int64(123 << 40)), "123.0 TiB"},
		{ref(int64(math.MaxInt64)), "8.00 EiB"},
		{new(int64(-1536)), "-1.50 KiB"},
	} {
		if got := Bytes(c.n); got != c.want {
			t.Errorf("Bytes(%v) = %q, want %q", Exact(c.n), got, c.want)
		}
	}
}

func TestGain(t *testing.T) {
	t.Parallel()

	for want, n := range map[string]*int64{
		"—": nil, "0 B": new(int64(0)), "+1.00 MiB": new(int64(1 << 20)), "-2.00 KiB": new(int64(-2048)),
	} {
		if got := Gain(n); got != want {
			t.Errorf("Gain(%v) = %q, want %q", Exact(n), got, want)
		}
	}
}

func TestRowCount(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		n      *int64
		source models.RowsSource
		want   string
	}{
		{nil, "", "—"},
		{new(int64(0)), models.RowsExact, "0"},
		{new(int64(1234567)), models.RowsExact, "1,234,567"},
		{new(int64(1234567)), models.RowsStatistic, "≈1,234,567"},
	} {
		if got := RowCount(c.n, c.source); got != c.want {
			t.Errorf("RowCount(%v, %s) = %q, want %q", Exact(c.n), c.source, got, c.want)
		}
	}
}

func TestShare(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		part  *int64
		whole int64
		want  string
	}{
		{nil, 100, "0.0%"},
		{new(int64(10)), 0, "0.0%"},
		{new(int64(1)), 1_000_000, "<0.1%"},
		{new(int64(1)), 3, "33.3%"},
		{new(int64(7)), 7, "100.0%"},
		{new(int64(9)), 7, "100.0%"},
	} {
		if got := Percent(Share(c.part, c.whole)); got != c.want {
			t.Errorf("Share(%s of %d) = %q, want %q", Exact(c.part), c.whole, got, c.want)
		}
	}
}

func TestRange(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		offset, shown int
		total         int64
		want          string
	}{
		{0, 50, 100_000, "1–50 / 100,000"},
		{40, 17, 57, "41–57 / 57"},
		{0, 0, 0, "0 / 0"},
		{1000, 0, 57, "0 / 57"},
	} {
		if got := Range(c.offset, c.shown, c.total); got != c.want {
			t.Errorf("Range(%d, %d, %d) = %q, want %q", c.offset, c.shown, c.total, got, c.want)
		}
	}
}

func TestPage_Age(t *testing.T) {
	t.Parallel()

	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, c := range []struct {
		age              time.Duration
		chinese, english string
		class            string
	}{
		{-time.Second, "刚刚", "just now", "fresh"},
		{59 * time.Second, "刚刚", "just now", "fresh"},
		{time.Minute, "1 分钟前", "1 min ago", "fresh"},
		{3*time.Hour + 59*time.Minute, "3 小时前", "3 h ago", "fresh"},
		{day, "1 天前", "1 d ago", "fresh"},
		{day + time.Second, "1 天前", "1 d ago", "aging"},
		{7 * day, "7 天前", "7 d ago", "aging"},
		{7*day + time.Second, "7 天前", "7 d ago", "stale"},
		{61 * day, "2 个月前", "2 mo ago", "stale"},
		{800 * day, "2 年前", "2 y ago", "stale"},
	} {
		at := now.Add(-c.age)
		zh, en := Page{Lang: Chinese, Now: now}, Page{Lang: English, Now: now}
		if got := zh.Age(at); got != c.chinese {
			t.Errorf("Age(%v) = %q, want %q", c.age, got, c.chinese)
		}
		if got := en.Age(at); got != c.english {
			t.Errorf("Age(%v) = %q, want %q", c.age, got, c.english)
		}
		if got := zh.AgeClass(at); got != c.class {
			t.Errorf("AgeClass(%v) = %q, want %q", c.age, got, c.class)
		}
	}
}

func TestPage_Clock(t *testing.T) {
	t.Parallel()

	zone := time.FixedZone("Asia/Shanghai", 8*3600)
	p := Page{Zone: zone}
	at := time.Date(2026, 7, 1, 20, 30, 5, 0, time.UTC)
	if got := p.FullClock(at); got != "2026-07-02 04:30:05 Asia/Shanghai" {
		t.Errorf("FullClock = %q, want %q", got, "2026-07-02 04:30:05 Asia/Shanghai")
	}
	if got := p.Clock(&at); got != "2026-07-02 04:30" {
		t.Errorf("Clock = %q, want %q", got, "2026-07-02 04:30")
	}
	if got := p.Clock(nil); got != "—" {
		t.Errorf("Clock(nil) = %q, want %q", got, "—")
	}
}

func TestPoints(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		history []int64
		want    string
	}{
		{nil, ""},
		{[]int64{5}, ""},
		{[]int64{0, 10}, "0.0,16.0 60.0,0.0"},
		{[]int64{7, 7, 7}, "0.0,8.0 30.0,8.0 60.0,8.0"},
	} {
		if got := Points(c.history, 60, 16); got != c.want {
			t.Errorf("Points(%v) = %q, want %q", c.history, got, c.want)
		}
	}
}

func TestVisible(t *testing.T) {
	t.Parallel()

	for name, want := range map[string]string{
		"plain 中文 <b>": "plain 中文 <b>", "two\nlines": "two␊lines", "\x7f": "␡", "مرحبا": "مرحبا",
		"a\u202eb": "a\ufffdb", "\u2066a\u2069": "\ufffda\ufffd", // bidirectional controls
	} {
		if got := visible(name); got != want {
			t.Errorf("visible(%q) = %q, want %q", name, got, want)
		}
	}
}
