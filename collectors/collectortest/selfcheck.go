package collectortest

import (
	"context"
	"slices"
	"testing"

	"whalefall/collectors"
	"whalefall/models"
)

// Between is a collector with hooks around each collection of tables.
type Between struct {
	collectors.Collector
	Before func()                    // called before each collection
	After  func(*models.TableResult) // called with what it returns
}

// Tables collects with the hooks around it.
func (b Between) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	if b.Before != nil {
		b.Before()
	}
	result, err := b.Collector.Tables(ctx, t, database)
	if err == nil && b.After != nil {
		b.After(&result)
	}
	return result, err
}

// SelfCheck runs a selfcheck that must not fail.
func SelfCheck(
	t *testing.T, c collectors.Collector, target collectors.Target, database string, tries int,
) collectors.Check {
	t.Helper()
	check, err := collectors.SelfCheck(t.Context(), c, target, database, tries)
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// RelationNamed returns the verdict on one relation.
func RelationNamed(t *testing.T, c collectors.Check, name string) collectors.Compared {
	t.Helper()
	for _, r := range c.Relations {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("%q was not looked at", name)
	return collectors.Compared{}
}

// checkSelfcheck is a check of the conformance suite.
func checkSelfcheck(t *testing.T, f Fixture) {
	check := SelfCheck(t, f.Collector, f.Target, f.Database, 3)
	if !check.Passed() || check.Means == "" {
		t.Errorf("the engine does not agree: %+v %+v", Unequal(check.Relations), Unequal(check.Sums))
	}
	if check.Count(collectors.Equal)+len(check.Sums) == 0 || len(check.Relations) < len(HostileNames) {
		t.Errorf("only %d relations and %d sums were compared", check.Count(collectors.Equal), len(check.Sums))
	}
	liar := Between{Collector: f.Collector, After: func(r *models.TableResult) {
		i := slices.IndexFunc(r.Tables, func(t models.TableSize) bool { return t.Name == TwinUpper })
		lie := *r.Tables[i].Total + 1
		r.Tables[i].Total = &lie
	}}
	caught := SelfCheck(t, liar, f.Target, f.Database, 3)
	if caught.Passed() {
		t.Error("one byte too many was not seen")
	}
	for _, r := range append(Unequal(caught.Relations), Unequal(caught.Sums)...) {
		single := r.Name == TwinUpper && caught.Count(collectors.Different) == 1
		if part := r.Parts[0]; part.Name != "total" || *part.Ours != *part.Engine+1 || !single && len(caught.Sums) == 0 {
			t.Errorf("got %+v", r)
		}
	}
}

// Unequal returns those that are neither equal nor without a value of the engine.
func Unequal(compared []collectors.Compared) (out []collectors.Compared) {
	for _, r := range compared {
		if r.Verdict != collectors.Equal && r.Verdict != collectors.NoWord {
			out = append(out, r)
		}
	}
	return out
}

// CatchesAByte makes each relation in turn a byte too large and fails unless the selfcheck sees it.
func CatchesAByte(t *testing.T, c collectors.Collector, target collectors.Target, database string) {
	t.Helper()
	word, err := c.Yardstick(t.Context(), target, database)
	if err != nil {
		t.Fatal(err)
	}
	honest, err := c.Tables(t.Context(), target, database)
	if err != nil {
		t.Fatal(err)
	}
	for i, relation := range honest.Tables {
		if relation.Total == nil || relation.RolledUp || honest.Residual == nil {
			continue
		}
		lie := honest
		lie.Tables = slices.Clone(honest.Tables)
		lie.Tables[i].Total = new(*relation.Total + 1)
		check := SelfCheck(t, recorded{c, lie, word}, target, database, 1)
		if len(Unequal(check.Relations))+len(Unequal(check.Sums)) == 0 {
			t.Errorf("%s: a byte too many of %q was not seen", database, relation.Name)
		}
	}
}

// recorded is a collector that returns the same results every time.
type recorded struct {
	collectors.Collector
	tables models.TableResult
	word   models.Yardstick
}

func (r recorded) Tables(context.Context, collectors.Target, string) (models.TableResult, error) {
	return r.tables, nil
}

func (r recorded) Yardstick(context.Context, collectors.Target, string) (models.Yardstick, error) {
	return r.word, nil
}
