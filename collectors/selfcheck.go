package collectors

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	"whalefall/models"
)

// Verdict says how a relation or sum compares with the engine's own value.
type Verdict string

// Verdicts.
const (
	Equal     Verdict = "equal"
	Different Verdict = "different"
	Changed   Verdict = "changed" // the engine's value was not the same before and after the collection
	NoWord    Verdict = "no word" // the engine has none
	Unread    Verdict = "unread"  // it could not be measured, by us or by the engine
)

// Why a relation is different although no number is.
const (
	NotListed   = "not listed by the collection"
	NotKnown    = "not known to the engine"
	ListedTwice = "listed more than once by the collection"
)

// Compared is a relation or a sum with its verdict.
type Compared struct {
	Schema, Name string // of a sum: the schema it is of, empty for all, and what it is the sum of
	Verdict      Verdict
	Why          string // of Different: a reason, or our models.Note; of Unread: the models.Unread; may be empty
	Parts        []Part // what differs; a sum that was compared always has one
}

// Part is one of our numbers beside the engine's; nil is unknown.
type Part struct {
	Name         string // total, data, index, unused: bytes; or rows
	Ours, Engine *int64
}

// Check is the comparison of a collection of one database with the engine's own values.
type Check struct {
	Means     string             // how the engine was asked
	Lacks     string             // what it has no values of by its nature
	Result    models.TableResult // of the last collection
	Tries     int
	Relations []Compared // by schema and name
	Sums      []Compared
}

// Count returns the number of relations that have the verdict.
func (c Check) Count(v Verdict) (n int) {
	for _, r := range c.Relations {
		if r.Verdict == v {
			n++
		}
	}
	return n
}

// Passed reports whether everything the engine has a value of was compared and is equal, and no relation is hidden
// from us.
func (c Check) Passed() bool {
	failed := func(r Compared) bool { return r.Verdict != Equal && r.Verdict != NoWord }
	return c.Result.Complete && !slices.ContainsFunc(c.Relations, failed) && !slices.ContainsFunc(c.Sums, failed)
}

// SelfCheck collects a database between two readings of the engine's own values. It repeats that, up to tries times in
// all, for what changed between the two.
func SelfCheck(ctx context.Context, c Collector, t Target, database string, tries int) (Check, error) {
	before, err := yardstick(ctx, c, t, database)
	if err != nil {
		return Check{}, err
	}
	var settled comparison
	for try := 1; ; try++ {
		ours, err := tables(ctx, c, t, database)
		if err != nil {
			return Check{}, err
		}
		after, err := yardstick(ctx, c, t, database)
		if err != nil {
			return Check{}, err
		}
		settled = settled.then(compare(ours, before, after))
		if try >= tries || !settled.changing() {
			return Check{
				Means: after.Means, Lacks: after.Lacks, Result: ours, Tries: try,
				Relations: settled.relations.sorted(), Sums: settled.sums.sorted(),
			}, nil
		}
		before = after
	}
}

func yardstick(ctx context.Context, c Collector, t Target, database string) (models.Yardstick, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, TablesTimeout, errDeadline)
	defer cancel()
	return c.Yardstick(ctx, t, database)
}

func tables(ctx context.Context, c Collector, t Target, database string) (models.TableResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, TablesTimeout, errDeadline)
	defer cancel()
	return c.Tables(ctx, t, database)
}

type relationKey struct{ schema, name string }

type verdicts map[relationKey]Compared

// comparison holds the verdicts of one try or of several.
type comparison struct{ relations, sums verdicts }

func (c comparison) changing() bool { return c.relations.changing() || c.sums.changing() }

// then returns the verdicts after one more try.
func (c comparison) then(next comparison) comparison {
	return comparison{c.relations.then(next.relations), c.sums.then(next.sums)}
}

func (v verdicts) changing() bool {
	for _, r := range v {
		if r.Verdict == Changed {
			return true
		}
	}
	return false
}

// then returns the verdicts with those of the next try where this one found a change.
func (v verdicts) then(next verdicts) verdicts {
	for key, r := range v {
		if r.Verdict != Changed {
			next[key] = r
		}
	}
	return next
}

func (v verdicts) sorted() []Compared {
	out := make([]Compared, 0, len(v))
	for _, r := range v {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Compared) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// compare compares a collection with the engine's values before and after it.
func compare(ours models.TableResult, before, after models.Yardstick) comparison {
	out := comparison{verdicts{}, verdicts{}}
	found := map[relationKey][]models.TableSize{}
	for _, t := range ours.Tables {
		key := relationKey{t.Schema, t.Name}
		found[key] = append(found[key], t)
	}
	was, is := relationsByKey(before), relationsByKey(after)
	for _, known := range []map[relationKey]models.YardstickRelation{was, is} {
		for key := range known {
			found[key] = append([]models.TableSize(nil), found[key]...)
		}
	}
	for key, own := range found {
		earlier, hadWord := was[key]
		later, hasWord := is[key]
		r := Compared{Verdict: Changed}
		if hadWord == hasWord && reflect.DeepEqual(earlier, later) {
			r = judge(own, later, hasWord, after.Whole)
		}
		r.Schema, r.Name = key.schema, key.name
		out.relations[key] = r
	}
	for _, sum := range after.Sums {
		r := Compared{Verdict: Changed}
		if slices.Contains(before.Sums, sum) {
			r = judgeSum(ours, sum)
		}
		r.Schema, r.Name = sum.Schema, sum.Name
		out.sums[relationKey{sum.Schema, sum.Name}] = r
	}
	return out
}

func relationsByKey(y models.Yardstick) map[relationKey]models.YardstickRelation {
	out := make(map[relationKey]models.YardstickRelation, len(y.Relations))
	for _, r := range y.Relations {
		out[relationKey{r.Schema, r.Name}] = r
	}
	return out
}

// judge compares what a collection lists under one name with the engine's value, which did not change meanwhile.
// Where the engine's list is whole, what is not on it does not exist.
func judge(own []models.TableSize, engine models.YardstickRelation, hasWord, whole bool) Compared {
	switch {
	case len(own) > 1:
		return Compared{Verdict: Different, Why: ListedTwice}
	case len(own) == 0:
		return Compared{Verdict: Different, Why: NotListed, Parts: []Part{{"total", nil, engine.Total}}}
	case own[0].Kind == models.KindExternal: // its bytes are elsewhere
		return Compared{Verdict: NoWord}
	case own[0].Unread != "":
		return Compared{Verdict: Unread, Why: string(own[0].Unread)}
	case engine.Unread != "":
		return Compared{Verdict: Unread, Why: string(engine.Unread)}
	case !hasWord && whole:
		return Compared{Verdict: Different, Why: NotKnown, Parts: []Part{{"total", own[0].Total, nil}}}
	}
	ours, out := own[0], Compared{Verdict: NoWord}
	for _, part := range []Part{
		{"total", ours.Total, engine.Total},
		{"data", ours.Data, engine.Data},
		{"index", ours.Index, engine.Index},
		{"unused", ours.Unused, engine.Unused},
		{"rows", ours.Rows, engine.Rows},
	} {
		if part.Engine == nil {
			continue
		}
		if out.Verdict == NoWord {
			out.Verdict = Equal
		}
		if part.Ours == nil || *part.Ours != *part.Engine {
			out.Verdict, out.Parts = Different, append(out.Parts, part)
			out.Why = string(ours.Note)
		}
	}
	return out
}

// judgeSum compares the sum of what a collection lists, each byte once, with the engine's.
func judgeSum(ours models.TableResult, engine models.YardstickSum) Compared {
	sum := engine.Rest
	if engine.Residual {
		if ours.Residual == nil {
			return Compared{Verdict: NoWord}
		}
		sum += *ours.Residual
	}
	for _, t := range ours.Tables {
		switch {
		case t.RolledUp, engine.Schema != "" && t.Schema != engine.Schema:
			continue
		case t.Unread != "":
			return Compared{Verdict: Unread, Why: string(t.Unread)}
		case t.Total != nil:
			sum += *t.Total
		}
	}
	out := Compared{Verdict: Equal, Parts: []Part{{"total", &sum, &engine.Total}}}
	if sum != engine.Total {
		out.Verdict = Different
	}
	return out
}
