package views

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fixedMarks lists the Chinese messages with half-width marks that scripts and people already know to the letter:
// the contract of the API and agreed labels. New messages do not join it.
var fixedMarks = []string{
	"CSRF_INVALID", "RATE_LIMIT_EXCEEDED", "api.connected_version", "collect.database_gone", "collect.oracle.nothing_seen",
	"collect.oracle.segments_denied", "collect.tablespace_gone", "import.columns_missing", "instance.engine_unknown",
	"instance.host_invalid", "notice.connected", "query.not_day", "tables.refreshed", "tag.in_use",
	"api.tags_all_removed", "api.tags_assigned", "api.tags_removed", "tags.ids_invalid", "tags.ids_missing",
	"connections.engine_unknown", "query.time_range",
}

var (
	han = regexp.MustCompile(`\p{Han}`)

	// halfWidth matches an ASCII mark that ends a word, and ASCII parentheses that touch or enclose Chinese. Marks
	// inside code, times and numbers have a letter or digit right behind them.
	halfWidth = regexp.MustCompile(`[,:;?!](?:\s|\p{Han}|\{\{|$)|\([^()]*\p{Han}|\p{Han}\(|\)\p{Han}`)

	// unspaced matches Chinese right beside a Latin word, except labels such as 近7日.
	unspaced = regexp.MustCompile(`\p{Han}[A-Za-z]|[A-Za-z]\p{Han}`)

	// counted matches a plural behind a number from data, which reads "1 tables" sooner or later.
	counted = regexp.MustCompile(`\{\{\.(?:N|Count|Days|Saved|Pruned|Binned)\}\} (?:[a-z]+ )?[a-z]{2,}s\b`)
)

// fixedSpacing lists contract strings with Chinese right beside a Latin word.
var fixedSpacing = []string{
	"connections.ids_empty", "connections.ids_missing", "connections.ids_not_integers", "deletion.ids_invalid",
	"import.columns_missing", "import.no_file",
	"import.no_rows", "instance.host_invalid", "tags.ids_invalid",
}

// neverOne lists messages whose number is at least 2.
var neverOne = []string{"schedule.every_hours", "schedule.every_minutes"}

func TestCatalog_Chinese_FullWidthMarks(t *testing.T) {
	t.Parallel()
	breaking(t, catalog(t, Chinese), fixedMarks, func(text string) bool {
		return han.MatchString(text) && halfWidth.MatchString(text)
	})
}

func TestCatalog_Chinese_SpaceBesideLatin(t *testing.T) {
	t.Parallel()
	breaking(t, catalog(t, Chinese), fixedSpacing, func(text string) bool { return unspaced.MatchString(text) })
}

func TestCatalog_English_Words(t *testing.T) {
	t.Parallel()
	for _, words := range []string{
		"may not", "there is no such", "goes on", "switched off", "forever", "here is the", "here are the",
	} {
		breaking(t, catalog(t, English), nil, func(text string) bool {
			return strings.Contains(strings.ToLower(text), words)
		})
	}
}

func TestCatalog_English_NoPluralAfterNumber(t *testing.T) {
	t.Parallel()
	breaking(t, catalog(t, English), neverOne, counted.MatchString)
}

func TestCatalog_Chinese_Words(t *testing.T) {
	t.Parallel()
	for words, except := range map[string][]string{
		"目标": {"tag.category.project"}, "数据库账号": nil, "口令": nil, "监听器": nil, "服务日志": nil, "所给的": nil,
	} {
		breaking(t, catalog(t, Chinese), except, func(text string) bool { return strings.Contains(text, words) })
	}
	breaking(t, catalog(t, Chinese), []string{"collect.oracle.segments_denied"}, func(text string) bool {
		return strings.Contains(text, "当前账号")
	})
}

// breaking reports the messages that break a rule, and the exceptions that no longer do.
func breaking(t *testing.T, messages map[string]string, except []string, breaks func(string) bool) {
	t.Helper()
	for key, text := range messages {
		if excepted := slices.Contains(except, key); breaks(text) && !excepted {
			t.Errorf("%s breaks the rule: %s", key, text)
		} else if excepted && !breaks(text) {
			t.Errorf("%s keeps the rule and needs no exception: %s", key, text)
		}
	}
	for _, key := range except {
		if _, ok := messages[key]; !ok {
			t.Errorf("no message %q", key)
		}
	}
}
