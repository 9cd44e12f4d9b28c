package collectortest

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv"
)

// Pooler gives each transaction of its clients another server process, as PgBouncer does. The processes are those of
// one account.
type Pooler struct {
	t      *testing.T
	server *testenv.PostgreSQLServer
	user   string
	secret string

	mu   sync.Mutex
	free map[string]chan *pgconn.HijackedConn // by database
}

// poolSize is how many server processes a pooler has for a database.
const poolSize = 2

// NewPooler starts a pooler that ends with the test, and makes the target lead to it.
func NewPooler(t *testing.T, server *testenv.PostgreSQLServer, target *collectors.Target) *Pooler {
	t.Helper()
	p := &Pooler{
		t: t, server: server, user: target.Username, secret: target.Password, free: map[string]chan *pgconn.HijackedConn{},
	}
	t.Cleanup(func() {
		for _, pool := range p.free {
			for range poolSize {
				_ = (<-pool).Conn.Close()
			}
		}
	})
	target.Host, target.TLSMode = "127.0.0.1", models.TLSDisable
	target.Port = testenv.Listen(t, p.serve)
	return p
}

// pool returns the idle processes of a database, which it starts first.
func (p *Pooler) pool(database string) (chan *pgconn.HijackedConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pool := p.free[database]; pool != nil {
		return pool, nil
	}
	config, err := pgconn.ParseConfig(p.server.URL(database))
	if err != nil {
		return nil, err
	}
	config.User, config.Password = p.user, p.secret
	pool := make(chan *pgconn.HijackedConn, poolSize)
	for range poolSize {
		conn, err := pgconn.ConnectConfig(p.t.Context(), config)
		if err != nil {
			return nil, err
		}
		hijacked, err := conn.Hijack()
		if err != nil {
			return nil, err
		}
		pool <- hijacked
	}
	p.free[database] = pool
	return pool, nil
}

func (p *Pooler) serve(conn net.Conn) {
	client := pgproto3.NewBackend(conn, conn)
	message, err := client.ReceiveStartupMessage()
	startup, ok := message.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	defer func() { _ = client.Flush() }()
	for name := range startup.Parameters {
		if !slices.Contains([]string{"user", "database", "application_name", "client_encoding"}, name) {
			refuse(client, "08P01", "unsupported startup parameter: "+name)
			return
		}
	}
	pool, err := p.pool(startup.Parameters["database"])
	if err != nil {
		refuse(client, "08P01", err.Error())
		return
	}

	client.Send(&pgproto3.AuthenticationOk{})
	process := <-pool
	for name, value := range process.ParameterStatuses {
		client.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	pool <- process
	client.Send(&pgproto3.BackendKeyData{ProcessID: 1 << 30, SecretKey: []byte{1, 2, 3, 4}})
	client.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for client.Flush() == nil && transact(client, pool) == nil {
		continue
	}
}

func refuse(client *pgproto3.Backend, code, text string) {
	client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: text})
}

// transact passes one transaction to a process. One that the client leaves open is rolled back.
func transact(client *pgproto3.Backend, pool chan *pgconn.HijackedConn) error {
	message, err := receive(client)
	if err != nil {
		return err
	}
	process := <-pool
	defer func() { pool <- process }()

	for {
		process.Frontend.Send(message)
		switch message.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
			status, err := answer(client, process.Frontend)
			if err != nil || status == 'I' {
				return err
			}
		}
		if message, err = receive(client); err != nil {
			process.Frontend.SendQuery(&pgproto3.Query{String: "ROLLBACK"})
			_, _ = answer(client, process.Frontend)
			return err
		}
	}
}

// receive returns the next message of a client, or an error at its end.
func receive(client *pgproto3.Backend) (pgproto3.FrontendMessage, error) {
	message, err := client.Receive()
	if _, ended := message.(*pgproto3.Terminate); ended {
		return nil, io.EOF
	}
	return message, err
}

// answer passes what a process answers, up to the state of the transaction, which it returns.
func answer(client *pgproto3.Backend, process *pgproto3.Frontend) (status byte, err error) {
	if err := process.Flush(); err != nil {
		return 0, err
	}
	for {
		message, err := process.Receive()
		if err != nil {
			return 0, err
		}
		client.Send(message)
		if ready, ok := message.(*pgproto3.ReadyForQuery); ok {
			return ready.TxStatus, client.Flush()
		}
	}
}

// Left returns what the clients have left set in the processes of a database. No client may be connected.
func (p *Pooler) Left(t *testing.T, database string) (names []string) {
	t.Helper()
	pool, err := p.pool(database)
	Must(t, err)
	for range poolSize {
		process := <-pool
		conn, err := pgconn.Construct(process)
		Must(t, err)
		const set = "SELECT name FROM pg_settings WHERE source = 'session'"
		result := conn.ExecParams(t.Context(), set, nil, nil, nil, nil).Read()
		Must(t, result.Err)
		for _, row := range result.Rows {
			names = append(names, string(row[0]))
		}
		process, err = conn.Hijack()
		Must(t, err)
		pool <- process
	}
	return names
}
