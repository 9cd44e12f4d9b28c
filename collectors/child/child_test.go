package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv"
)

// serveArg makes this test's program a child that serves the scripted collector.
const serveArg = "serve"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveArg {
		engines := map[models.Engine]collectors.Collector{models.SQLServer: scripted{}}
		if err := Serve(context.Background(), os.Stdin, os.Stdout, engines); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testenv.Main(m)
}

// scripted does what the name of the database, or else the host of the target, says.
type scripted struct{}

func (scripted) Capabilities() models.Capabilities { return models.Capabilities{ListsPartitions: true} }

func (scripted) Version(ctx context.Context, t collectors.Target) (models.Version, error) {
	switch t.Host {
	case "reveal":
		return models.Version{Full: strings.Join(slices.Concat(os.Args, os.Environ()), "\n"), Main: t.Password}, nil
	case "refuse":
		return models.Version{}, refusal()
	}
	return models.Version{}, act(ctx, t.Host, t.Options["file"])
}

func (scripted) Databases(context.Context, collectors.Target) (models.DatabaseResult, error) {
	return databases(), nil
}

func (scripted) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	collectors.Reached(ctx, models.PhaseQuerying)
	collectors.Expected(ctx, 7)
	collectors.Counted(ctx, 5)
	return tables(), act(ctx, database, t.Options["file"])
}

func (scripted) Yardstick(context.Context, collectors.Target, string) (models.Yardstick, error) {
	return yardstick(), nil
}

// act misbehaves as told. With a file it creates that file first.
func act(ctx context.Context, what, file string) error {
	if file != "" {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return err
		}
	}
	switch what {
	case "allocate":
		held = make([]byte, 51<<30)
	case "hoard":
		for {
			held = append(held, make([]byte, 1<<20)...)
		}
	case "panic":
		panic("the driver is confused")
	case "leave":
		os.Exit(0)
	case "chatter":
		for i := range 1000 {
			fmt.Fprintln(os.Stderr, i, strings.Repeat("x", 5000))
		}
	case "wait":
		<-ctx.Done()
		return collectors.Cancelled(context.Cause(ctx))
	case "ignore":
		select {}
	}
	return nil
}

var held []byte

func refusal() error {
	return (&models.Error{
		Code: models.CodeUnreachable, Key: "error.unreachable", Args: models.Args("Name", "<b>\n"), Reason: "login",
		Grant: `GRANT "x"`, Extra: map[string]any{"error_number": int64(9007199254740993)},
		Err: errors.New("login failed"),
	}).WithInstanceID(3)
}

func databases() models.DatabaseResult {
	return models.DatabaseResult{
		Complete: true, Grant: "GRANT", Proof: models.ProofShort,
		Databases: []models.DatabaseSize{
			{Name: "a\"<script>\n", Total: new(int64(0)), Log: new(int64(1 << 55))},
			{Name: "数据", IsSystem: true, Closed: true, Err: &models.Error{Code: models.CodeCollection, Key: "k"}},
		},
	}
}

func tables() models.TableResult {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	r := models.TableResult{
		Complete: true, Scope: "dbo", Hidden: 2, Residual: new(int64(0)), Grant: "g", Proof: models.ProofMetadata,
		ServerBytes: new(int64(9)), Others: map[string]models.TableResult{"empty": {Proof: models.ProofShort}},
	}
	for i := range 2*partSize + 1 {
		r.Tables = append(r.Tables, models.TableSize{
			Schema: "s", Name: fmt.Sprint("t\x00\u2028", i), Kind: models.KindTable,
			Total: new(int64(i)), Index: new(int64(0)), RowsAt: &at,
		})
	}
	r.Others["other"] = models.TableResult{Tables: slices.Clone(r.Tables[:partSize+1]), Hidden: 1}
	return r
}

func yardstick() models.Yardstick {
	return models.Yardstick{
		Means: "m", Lacks: "l", Whole: true, Relations: []models.YardstickRelation{{Name: "r", Total: new(int64(0))}},
		Sums: []models.YardstickSum{{Name: "s", Total: 1, Rest: 2, Residual: true}},
	}
}
