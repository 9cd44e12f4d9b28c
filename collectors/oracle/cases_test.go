package oracle

import (
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

// collectorFor returns a collector that connects to an emulated server.
func collectorFor(server *oracle.Server) *Collector {
	c := New(nil)
	c.Connector = func(t collectors.Target) (driver.Connector, error) {
		return server.Connector(oracle.Login{
			Service: t.Database, SID: t.Options[models.OptionSID], Username: t.Username, Password: t.Password,
		}), nil
	}
	return c
}

// read returns the results that the collector derives from the dictionary, by tablespace.
func (c *Collector) read(t *testing.T, target collectors.Target) map[string]models.TableResult {
	t.Helper()
	s, err := c.open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	found, err := s.catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found.results()
}

func TestSession_Catalog_Cases(t *testing.T) {
	for _, c := range catalog.Cases(t, "oracle") {
		t.Run(c.Name, func(t *testing.T) {
			server := oracle.New(t, oracle.Options{Rows: c.Rows})
			target := collectortest.OracleTarget(t, server, "WHALEFALL", true)
			if c.AsUser != "" {
				target = collectortest.OracleTarget(t, server, c.AsUser, false)
			}
			var want map[string]catalog.Want
			c.DecodeWant(t, &want)
			got := map[string]catalog.Want{}
			for tablespace, result := range collectorFor(server).read(t, target) {
				got[tablespace] = asWant(result)
			}
			if difference := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.SortSlices(byTableName)); difference != "" {
				t.Errorf("%s (-want +got)\n%s", c.Why, difference)
			}
		})
	}
}

// asWant converts a result to what cases expect.
func asWant(r models.TableResult) catalog.Want {
	want := catalog.Want{Scope: r.Scope, Complete: r.Complete, Hidden: r.Hidden, Residual: r.Residual}
	for _, table := range r.Tables {
		want.Tables = append(want.Tables, catalog.Table{
			Schema: table.Schema, Name: table.Name, Kind: string(table.Kind),
			Total: table.Total, Data: table.Data, Index: table.Index, Unused: table.Unused, Memory: table.Memory,
			Rows: table.Rows, RowsSource: string(table.RowsSource), RowsAt: table.RowsAt,
			Note: string(table.Note), RelatedSchema: table.RelatedSchema, Related: table.Related,
		})
	}
	return want
}

func byTableName(a, b catalog.Table) bool {
	key := func(t catalog.Table) string { return strings.Join([]string{t.Schema, t.Name, t.Kind}, "\x00") }
	return key(a) < key(b)
}
