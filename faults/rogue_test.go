package faults

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/cli"
	"whalefall/collectors"
	"whalefall/models"
)

// rogueMemory is how many bytes more this process may hold while rogue servers answer.
const rogueMemory = 300 << 20

// rogueIdle is how long a rogue server waits for the next request; a client that waits for more gets nothing.
const rogueIdle = 100 * time.Millisecond

// session is what a server sends: a turn for each time the client has sent something.
type session [][]byte

// rogue serves sessions on a port: each connection the next one.
func rogue(t *testing.T, next func() session) collectors.Target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answers := next()
			running.Go(func() { answers.play(conn) })
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return collectors.Target{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port}
}

func (s session) play(conn net.Conn) {
	defer conn.Close()
	request := make([]byte, 64<<10)
	for i, turn := range append(slices.Clone(s), nil) {
		if i > 0 {
			_ = conn.SetReadDeadline(time.Now().Add(rogueIdle))
			if _, err := conn.Read(request); err != nil {
				return
			}
		}
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := conn.Write(turn); err != nil {
			return
		}
	}
}

// overheard makes the call to a real server through a proxy and returns what the server sent on the
// longest of its connections.
func overheard(t *testing.T, to collectors.Target, call func(collectors.Target)) session {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)

	address := net.JoinHostPort(to.Host, strconv.Itoa(to.Port))
	var relaying sync.WaitGroup
	sessions := make(chan session, 100)
	relaying.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				client.Close()
				return
			}
			relaying.Go(func() { sessions <- relay(client, server) })
		}
	})

	to.Host, to.Port = "127.0.0.1", listener.Addr().(*net.TCPAddr).Port
	call(to)
	listener.Close()
	relaying.Wait()
	close(sessions)
	var longest session
	for s := range sessions {
		if len(s) > len(longest) {
			longest = s
		}
	}
	return longest
}

// relay copies in both directions until one side closes, and returns the server's turns.
func relay(client, server net.Conn) session {
	var mu sync.Mutex
	turns := session{nil}
	var copying sync.WaitGroup
	oneWay := func(to, from net.Conn, note func([]byte)) {
		defer to.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			mu.Lock()
			note(buffer[:n])
			mu.Unlock()
			if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
				return
			}
		}
	}
	copying.Go(func() {
		oneWay(server, client, func([]byte) {
			if len(turns[len(turns)-1]) > 0 || len(turns) == 1 {
				turns = append(turns, nil)
			}
		})
	})
	copying.Go(func() {
		oneWay(client, server, func(b []byte) { turns[len(turns)-1] = append(turns[len(turns)-1], b...) })
	})
	copying.Wait()
	return turns
}

// mutated returns a copy of a session with a few changes, such as lengths that lie.
func (s session) mutated(random *rand.Rand) session {
	out := make(session, len(s))
	for i, turn := range s {
		out[i] = bytes.Clone(turn)
	}
	for range 1 + random.IntN(3) {
		i := random.IntN(len(out))
		out[i] = mutate(random, out[i])
	}
	return out
}

func mutate(random *rand.Rand, turn []byte) []byte {
	at := random.IntN(len(turn) + 1)
	patch := func(b ...byte) []byte {
		return slices.Concat(turn[:at], b, turn[min(at+len(b), len(turn)):])
	}
	switch random.IntN(8) {
	case 0:
		return patch(byte(random.Uint32()))
	case 1:
		return patch(0xff, 0xff, 0xff, 0xff)
	case 2:
		return patch(0x7f, 0xff, 0xff, 0xff)
	case 3:
		return patch(binary.LittleEndian.AppendUint32(nil, random.Uint32N(1<<30))...)
	case 4:
		return turn[:at]
	case 5:
		return slices.Insert(turn, at, noise(random, random.IntN(64))...)
	case 6:
		return bytes.Repeat(turn, 1+random.IntN(20))
	}
	return noise(random, random.IntN(4096))
}

func noise(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// product returns the collectors as the product wires them: those that need it in a process of their own.
func product() map[models.Engine]collectors.Collector {
	return cli.Engines(new(cli.Settings), slog.New(slog.DiscardHandler))
}

// ask makes a connection test, or a collection, and returns its error. A panic is one that the product recovers.
func ask(ctx context.Context, t collectors.Target) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &models.Error{Code: models.CodeCollection, Key: "collect.failed_unexpectedly"}
		}
	}()
	collector := product()[t.Engine]
	if _, err = collector.Version(ctx, t); err == nil {
		_, err = collector.Tables(ctx, t, "app")
	}
	return err
}

// classified reports whether an error says what a person can do.
func classified(err error) bool {
	return err == nil || models.Is(err, models.CodeUnreachable) || models.Is(err, models.CodeCollection) ||
		models.Is(err, models.CodeTimeout)
}

// peakMemory returns a function that stops measuring and returns how many bytes more than now this process held.
func peakMemory() func() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	held := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64() - sample[1].Value.Uint64()
	}
	debug.FreeOSMemory()
	before, stop, peak := held(), make(chan struct{}), make(chan uint64)
	go func() {
		most := before
		for {
			most = max(most, held())
			select {
			case <-stop:
				peak <- most - before
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() uint64 { close(stop); return <-peak }
}

// recordings returns, for each engine, the target with the account, and a session to begin from.
func recordings(t *testing.T) map[models.Engine]session {
	t.Helper()
	out := map[models.Engine]session{models.Oracle: {nil, tnsAccept(), tnsData(64), tnsData(512)}}
	for _, s := range []target{newPostgreSQLTarget(t), newMySQLTarget(t), newSQLServerTarget(t)} {
		to := accountTarget(s)
		out[to.Engine] = overheard(t, to, func(proxied collectors.Target) {
			_, err := product()[to.Engine].Version(t.Context(), proxied)
			must(t, err)
		})
	}
	out[models.PostgreSQL] = withoutLogin(t, out[models.PostgreSQL])
	return out
}

func accountTarget(s target) collectors.Target {
	i := s.direct()
	return collectors.Target{
		Engine: i.DBType, Host: *i.Host, Port: *i.Port, Username: s.account(), Password: s.password(),
		Database: i.DatabaseName, TLSMode: models.TLSDisable,
	}
}

// withoutLogin removes the challenge of PostgreSQL, whose answer differs each time: the server accepts at once.
func withoutLogin(t *testing.T, s session) session {
	t.Helper()
	accepted := []byte("R\x00\x00\x00\x08\x00\x00\x00\x00")
	for i, turn := range s {
		if at := bytes.Index(turn, accepted); at >= 0 {
			out := append(session{nil}, s[i:]...)
			out[1] = turn[at:]
			return out
		}
	}
	t.Fatal("the server has accepted no login")
	return nil
}

func tnsPacket(kind byte, rest []byte) []byte {
	head := []byte{0, 0, 0, 0, kind, 0, 0, 0}
	binary.BigEndian.PutUint16(head, uint16(len(head)+len(rest)))
	return append(head, rest...)
}

func tnsAccept() []byte {
	return tnsPacket(2, append([]byte("\x01\x3a\x00\x00\x20\x00\x7f\xff\x00\x00\x00\x00\x00\x20"), make([]byte, 10)...))
}

func tnsData(n int) []byte {
	return tnsPacket(6, noise(rand.New(rand.NewPCG(uint64(n), 0)), n))
}

// TestRogue has servers of all protocols lie. The process must live, stay small, and say what is wrong.
func TestRogue(t *testing.T) {
	recorded := recordings(t)
	t.Run("answers", func(t *testing.T) { rogueAnswers(t, recorded) })
	t.Run("sizes", func(t *testing.T) { rogueSizes(t, recorded) })
}

// rogueAnswers sends real answers with changes in them: 10,000 with the build tag faults, else a few.
func rogueAnswers(t *testing.T, recordings map[models.Engine]session) {
	answers := map[models.Engine]int{models.PostgreSQL: 60, models.MySQL: 8, models.SQLServer: 8, models.Oracle: 8}
	if whole {
		answers = map[models.Engine]int{
			models.PostgreSQL: 4000, models.MySQL: 2000, models.SQLServer: 2000, models.Oracle: 2000,
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for engine, recorded := range recordings {
		t.Run(string(engine), func(t *testing.T) {
			peak := peakMemory()
			random := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			target := rogue(t, func() session { mu.Lock(); defer mu.Unlock(); return recorded.mutated(random) })
			target.Engine, target.Username, target.TLSMode = engine, "watcher", models.TLSDisable
			target.Database, target.Password = "app", "secret"
			keys := askMany(t, target, answers[engine])
			if most := peak(); most > rogueMemory {
				t.Errorf("%d MiB", most>>20)
			} else {
				t.Logf("%d answers, at most %d MiB, %v", answers[engine], most>>20, keys)
			}
		})
	}
}

// askMany asks a target several times and returns how often each kind of error came.
func askMany(t *testing.T, target collectors.Target, times int) map[string]int {
	t.Helper()
	const asking = 4
	var mu sync.Mutex
	var running sync.WaitGroup
	kinds, todo := map[string]int{}, make(chan struct{}, times)
	for range times {
		todo <- struct{}{}
	}
	close(todo)
	for range asking {
		running.Go(func() {
			for range todo {
				err := ask(t.Context(), target)
				e := models.AsError(err)
				mu.Lock()
				if err == nil {
					kinds["none"]++
				} else {
					kinds[strings.TrimSpace(e.Key+" "+e.Reason)]++
				}
				mu.Unlock()
				if !classified(err) {
					t.Errorf("not classified: %v", err)
				}
			}
		})
	}
	running.Wait()
	return kinds
}

// mysqlPacket returns a packet; longer contents continue in further packets.
func mysqlPacket(serial byte, content ...byte) (out []byte) {
	const most = 1<<24 - 1
	for {
		part := content[:min(len(content), most)]
		head := []byte{byte(len(part)), byte(len(part) >> 8), byte(len(part) >> 16), serial}
		out = slices.Concat(out, head, part)
		if len(part) < most {
			return out
		}
		content, serial = content[most:], serial+1
	}
}

// tdsPacket returns the last packet of an answer.
func tdsPacket(body ...byte) []byte {
	head := []byte{4, 1, 0, 0, 0, 0, 1, 0}
	binary.BigEndian.PutUint16(head[2:], uint16(len(head)+len(body)))
	return append(head, body...)
}

// after returns the first turns of a session and then another one.
func (s session) after(turns int, last []byte) session {
	return append(slices.Clone(s[:min(turns, len(s))]), last)
}

// turnsUntil returns how many turns there are up to the one that contains the text.
func (s session) turnsUntil(text string) int {
	return slices.IndexFunc(s, func(turn []byte) bool { return bytes.Contains(turn, []byte(text)) })
}

// rogueSizes announces or sends far more than a collection needs.
func rogueSizes(t *testing.T, recorded map[models.Engine]session) {
	huge := bytes.Repeat([]byte("x"), 40<<20)
	column := []byte("\x03def\x00\x00\x00\x01v\x00\x0c\x2d\x00\xff\xff\xff\xff\xfd\x00\x00\x00\x00\x00")
	mysql, postgresql := recorded[models.MySQL], recorded[models.PostgreSQL]
	statement := mysql.turnsUntil("innodb_page_size")
	row := slices.Concat([]byte{0xfe}, binary.LittleEndian.AppendUint64(nil, uint64(len(huge))), huge)
	for name, c := range map[string]struct {
		engine models.Engine
		answer session
		want   string
	}{
		"SQL Server announces 4 GB in answer to the login": {
			models.SQLServer,
			recorded[models.SQLServer].after(2, tdsPacket(0xee, 8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)), "collect.memory",
		},
		"PostgreSQL sends endless text instead of asking for a login": {
			models.PostgreSQL, session{nil, slices.Concat([]byte("N\x3f\xff\xff\xff"), huge)}, "error.unreachable",
		},
		"PostgreSQL sends a row of 40 MB": {
			models.PostgreSQL, postgresql.after(postgresql.turnsUntil("PostgreSQL 1"),
				slices.Concat([]byte("D"), binary.BigEndian.AppendUint32(nil, uint32(len(huge)+4)), huge)), "",
		},
		"MariaDB greets endlessly": {models.MySQL, session{mysqlPacket(0, huge...)}, "error.unreachable"},
		"MariaDB announces 17 billion columns": {
			models.MySQL, mysql.after(statement, mysqlPacket(1, 0xfe, 0, 0, 0, 0, 4, 0, 0, 0, 1)), "collect.memory",
		},
		"MariaDB sends a row of 40 MB": {
			models.MySQL, mysql.after(statement, slices.Concat(
				mysqlPacket(1, 1, 1), mysqlPacket(2, column...), mysqlPacket(3, row...),
			)), "collect.too_much",
		},
		"Oracle announces much": {
			models.Oracle, session{nil, tnsAccept(), tnsPacket(6, bytes.Repeat([]byte{0xff}, 32<<10))}, "error.unreachable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			peak := peakMemory()
			target := rogue(t, func() session { return c.answer })
			target.Engine, target.Username, target.Password = c.engine, "watcher", "secret"
			target.TLSMode, target.Database = models.TLSDisable, "app"
			err := ask(t.Context(), target)
			if most := peak(); err == nil || models.AsError(err).Key != c.want || most > rogueMemory {
				t.Errorf("got %v, %d MiB", err, most>>20)
			}
		})
	}
}
