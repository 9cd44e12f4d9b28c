package collectors

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"whalefall/models"
)

func TestCompare_Relations(t *testing.T) {
	t.Parallel()
	table := func(total int64) models.TableSize {
		return models.TableSize{Schema: "s", Name: "t", Total: &total, Data: &total, Index: new(int64)}
	}
	word := func(total int64) []models.YardstickRelation {
		return []models.YardstickRelation{{Schema: "s", Name: "t", Total: &total}}
	}
	locked := models.TableSize{Schema: "s", Name: "t", Unread: models.UnreadLocked}
	for name, test := range map[string]struct {
		ours          []models.TableSize
		before, after []models.YardstickRelation
		whole         bool
		want          Compared
	}{
		"equal": {[]models.TableSize{table(7)}, word(7), word(7), true, Compared{Verdict: Equal}},
		"a byte less": {
			[]models.TableSize{table(6)}, word(7), word(7), true, differs("", new(int64(6)), new(int64(7))),
		},
		"unknown to us": {
			[]models.TableSize{{Schema: "s", Name: "t"}}, word(7), word(7), true, differs("", nil, new(int64(7))),
		},
		"grown":               {[]models.TableSize{table(7)}, word(7), word(8), true, Compared{Verdict: Changed}},
		"created":             {[]models.TableSize{table(7)}, nil, word(7), true, Compared{Verdict: Changed}},
		"dropped":             {nil, word(7), nil, true, Compared{Verdict: Changed}},
		"dropped, still seen": {[]models.TableSize{table(7)}, word(7), nil, true, Compared{Verdict: Changed}},
		"missing":             {nil, word(7), word(7), true, differs(NotListed, nil, new(int64(7)))},
		"invented":            {[]models.TableSize{table(7)}, nil, nil, true, differs(NotKnown, new(int64(7)), nil)},
		"no word":             {[]models.TableSize{table(7)}, nil, nil, false, Compared{Verdict: NoWord}},
		"external": {
			[]models.TableSize{{Schema: "s", Name: "t", Kind: models.KindExternal}},
			word(7), word(7), true,
			Compared{Verdict: NoWord},
		},
		"no number": {
			[]models.TableSize{table(7)},
			[]models.YardstickRelation{{Schema: "s", Name: "t"}},
			[]models.YardstickRelation{{Schema: "s", Name: "t"}},
			true,
			Compared{Verdict: NoWord},
		},
		"twice": {
			[]models.TableSize{table(7), table(7)},
			word(7), word(7), true,
			Compared{Verdict: Different, Why: ListedTwice},
		},
		"locked": {[]models.TableSize{locked}, word(7), word(7), true, Compared{Verdict: Unread, Why: "locked"}},
		"locked for the engine": {
			[]models.TableSize{table(7)},
			[]models.YardstickRelation{{Schema: "s", Name: "t", Unread: models.UnreadLocked}},
			[]models.YardstickRelation{{Schema: "s", Name: "t", Unread: models.UnreadLocked}},
			true,
			Compared{Verdict: Unread, Why: "locked"},
		},
	} {
		out := compare(models.TableResult{Tables: test.ours},
			models.Yardstick{Relations: test.before, Whole: test.whole},
			models.Yardstick{Relations: test.after, Whole: test.whole})
		test.want.Schema, test.want.Name = "s", "t"
		if diff := cmp.Diff(verdicts{{"s", "t"}: test.want}, out.relations); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func differs(why string, ours, engine *int64) Compared {
	return Compared{Verdict: Different, Why: why, Parts: []Part{{"total", ours, engine}}}
}

func TestCompare_Sums(t *testing.T) {
	t.Parallel()
	a, b := int64(5), int64(3)
	tables := []models.TableSize{
		{Schema: "a", Name: "1", Total: &a},
		{Schema: "b", Name: "2", Total: &b},
		{Schema: "a", Name: "unknown"},
		{Schema: "a", Name: "root", Total: &a, RolledUp: true},
	}
	for name, test := range map[string]struct {
		residual *int64
		unread   bool
		sum      models.YardstickSum
		want     Verdict
	}{
		"all":                    {nil, false, models.YardstickSum{Total: 8}, Equal},
		"a byte more":            {nil, false, models.YardstickSum{Total: 9}, Different},
		"with a rest":            {nil, false, models.YardstickSum{Total: 9, Rest: 1}, Equal},
		"of a schema":            {nil, false, models.YardstickSum{Schema: "b", Total: 3}, Equal},
		"with our residual":      {new(int64(2)), false, models.YardstickSum{Total: 10, Residual: true}, Equal},
		"residual not asked for": {new(int64(2)), false, models.YardstickSum{Total: 8}, Equal},
		"residual unknown":       {nil, false, models.YardstickSum{Total: 10, Residual: true}, NoWord},
		"one is locked":          {nil, true, models.YardstickSum{Total: 8}, Unread},
		"one elsewhere is":       {nil, true, models.YardstickSum{Schema: "b", Total: 3}, Equal},
	} {
		ours := models.TableResult{Tables: slices.Clone(tables), Residual: test.residual}
		if test.unread {
			ours.Tables = append(ours.Tables, models.TableSize{Schema: "a", Name: "locked", Unread: models.UnreadLocked})
		}
		y := models.Yardstick{Sums: []models.YardstickSum{test.sum}}
		for _, got := range compare(ours, y, y).sums {
			if got.Verdict != test.want {
				t.Errorf("%s: %+v", name, got)
			}
		}
		grown := test.sum
		grown.Total++
		for _, got := range compare(ours, models.Yardstick{Sums: []models.YardstickSum{grown}}, y).sums {
			if got.Verdict != Changed {
				t.Errorf("%s, and changed meanwhile: %+v", name, got)
			}
		}
	}
}

// drawNumber returns a few bytes, or nil.
func drawNumber(t *rapid.T, name string) *int64 {
	if rapid.Bool().Draw(t, name+" known") {
		return new(rapid.Int64Range(0, 3).Draw(t, name))
	}
	return nil
}

func drawYardstick(t *rapid.T, name string) models.Yardstick {
	var y models.Yardstick
	for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), rapid.ID).Draw(t, name) {
		y.Relations = append(y.Relations, models.YardstickRelation{
			Name: key, Total: drawNumber(t, name+" total"), Rows: drawNumber(t, name+" rows"),
		})
	}
	return y
}

func drawTables(t *rapid.T, name string) (r models.TableResult) {
	for _, key := range rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", "d"})).Draw(t, name) {
		r.Tables = append(r.Tables, models.TableSize{
			Name: key, Total: drawNumber(t, name+" total"), Rows: drawNumber(t, name+" rows"),
		})
	}
	return r
}

// asListed returns a collection that lists what the engine lists.
func asListed(y models.Yardstick) (r models.TableResult) {
	for _, w := range y.Relations {
		r.Tables = append(r.Tables, models.TableSize{Schema: w.Schema, Name: w.Name, Total: w.Total, Rows: w.Rows})
	}
	return r
}

func TestCompare_OneVerdictPerRelation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ours, before, after := drawTables(t, "ours"), drawYardstick(t, "before"), drawYardstick(t, "after")
		names := map[string]bool{}
		for _, r := range ours.Tables {
			names[r.Name] = true
		}
		for _, r := range append(slices.Clone(before.Relations), after.Relations...) {
			names[r.Name] = true
		}
		out := compare(ours, before, after).relations
		for name := range names {
			if out[relationKey{"", name}].Verdict == "" {
				t.Errorf("no verdict on %s", name)
			}
		}
		if len(out) != len(names) {
			t.Errorf("%d verdicts on %d relations", len(out), len(names))
		}
	})
}

func TestCompare_FindsTheAlteredNumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		y := drawYardstick(t, "word")
		y.Whole = rapid.Bool().Draw(t, "whole")
		ours := asListed(y)
		for key, r := range compare(ours, y, y).relations {
			if r.Verdict != Equal && r.Verdict != NoWord {
				t.Errorf("%v: %+v", key, r)
			}
		}
		if len(ours.Tables) == 0 {
			return
		}
		altered := &ours.Tables[rapid.IntRange(0, len(ours.Tables)-1).Draw(t, "altered")]
		if altered.Total == nil {
			return
		}
		altered.Total = new(*altered.Total + rapid.SampledFrom([]int64{-1, 1}).Draw(t, "by"))
		for key, r := range compare(ours, y, y).relations {
			if (r.Verdict == Different) != (key.name == altered.Name) {
				t.Errorf("%v: %+v", key, r)
			}
		}
	})
}

func TestComparison_Then_KeepsVerdicts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var all comparison
		for range 3 {
			next := compare(drawTables(t, "ours"), drawYardstick(t, "before"), drawYardstick(t, "after"))
			earlier := all
			all = all.then(next)
			for key, r := range earlier.relations {
				if r.Verdict != Changed && cmp.Diff(r, all.relations[key]) != "" {
					t.Errorf("%v was %+v and is %+v", key, r, all.relations[key])
				}
			}
		}
	})
}
