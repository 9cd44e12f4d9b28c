package postgresql

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/testenv"
)

func TestCollector_Encodings(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgreSQL(t)
	databases := []string{"数据", "lat", "euc", "win", "cyr", "jp", "kr", "tw"}
	for i, encoding := range []string{"UTF8", "LATIN1", "EUC_CN", "WIN1252", "WIN1251", "EUC_JP", "EUC_KR", "EUC_TW"} {
		server.Exec(t, "postgres", `CREATE DATABASE "`+databases[i]+`" ENCODING '`+encoding+
			"' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	}

	// named creates a table with the name of the bytes, in hexadecimal, in the encoding.
	named := func(encoding, bytes string) string {
		name := `convert_from('\x` + bytes + `', '` + encoding + `')`
		return `DO $$ BEGIN EXECUTE 'CREATE TABLE "' || ` + name + ` || '" (x int)'; END $$`
	}
	for database, c := range map[string]struct {
		statements []string
		want       []string
	}{
		"数据":  {[]string{`CREATE TABLE "订单" (x int)`}, []string{"订单"}},
		"lat": {[]string{`CREATE TABLE "café" (x int)`, named("LATIN1", "81")}, []string{"\u0081", "café"}},
		"euc": {[]string{`CREATE TABLE "订单" (x int)`, named("EUC_CN", "626164aaa1")}, []string{`bad\xaa\xa1`, "订单"}},
		"win": {
			[]string{`CREATE TABLE "café" (x int)`, named("WIN1252", "62616481"), named("WIN1252", "c381")},
			[]string{`bad\x81`, "café", `Ã\x81`},
		},
		"cyr": {[]string{`CREATE TABLE "заказ" (x int)`, named("WIN1251", "62616498")}, []string{`bad\x98`, "заказ"}},
		"jp":  {[]string{`CREATE TABLE "注文" (x int)`}, []string{"注文"}},
		"kr":  {[]string{`CREATE TABLE "주문" (x int)`}, []string{"주문"}},
		"tw":  {[]string{`CREATE TABLE "訂單" (x int)`}, []string{"訂單"}},
	} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			server.Exec(t, database, append([]string{"SET client_encoding TO 'UTF8'"}, c.statements...)...)
			target := collectortest.PostgreSQLTarget(server, database)
			var tables []string
			for name := range collectortest.Tables(t, New(), target, database) {
				tables = append(tables, name.Name)
			}
			slices.Sort(tables)
			slices.Sort(c.want)
			if diff := cmp.Diff(c.want, tables); diff != "" {
				t.Error("tables:", diff)
			}

			result, err := New().Databases(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			for _, d := range result.Databases {
				found[d.Name] = d.Total != nil
			}
			want := map[string]bool{"postgres": true}
			for _, name := range databases {
				want[name] = true
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Error("databases:", diff)
			}
		})
	}
}

// validEUC reports whether a server takes the two bytes for text in one of the EUC encodings.
func validEUC(stored string) bool {
	a, b := stored[0], stored[1]
	return a < 0x80 && b < 0x80 || a >= 0xa1 && b >= 0xa1 && a != 0xff && b != 0xff
}

func TestDecoded_DifferentNamesStayDifferent(t *testing.T) {
	t.Parallel()
	for encoding := range maps.Keys(encodings) {
		seen := map[string]string{}
		for first := range 256 {
			for second := range 256 {
				stored := string([]byte{byte(first), byte(second)})
				if strings.HasPrefix(encoding, "EUC") && !validEUC(stored) {
					continue
				}
				name := collectors.ValidName(decoded(encoding, stored))
				if other, taken := seen[name]; taken {
					t.Fatalf("%s: %x and %x are both %q", encoding, other, stored, name)
				}
				seen[name] = stored
			}
		}
	}
}
