package views

import "testing"

func TestCronWords(t *testing.T) {
	t.Parallel()
	english := Page{Lang: English}
	for expression, want := range map[string]string{
		"30 2 * * *":   "Daily at 02:30",
		"0  4 * * 1":   "Mondays at 04:00",
		"0 4 * * 1-5":  "Monday to Friday at 04:00",
		"15 3 1 * *":   "On day 1 of each month at 03:15",
		"5 * * * *":    "Every hour at minute 5",
		"5 */1 * * *":  "Every hour at minute 5",
		"5 */6 * * *":  "Every 6 hours at minute 5",
		"*/10 * * * *": "Every 10 minutes",
		"*/1 * * * *":  "*/1 * * * *", // too often to be accepted
		"0 2 29 2 *":   "0 2 29 2 *",
	} {
		if got := cronWords(english, expression); got != want {
			t.Errorf("%q: got %q, want %q", expression, got, want)
		}
	}
}
