package collectortest

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"whalefall/collectors"
)

// Balancer is one address that leads to several servers, by connection.
type Balancer struct {
	servers []string
	turn    func(connection int) int
	count   atomic.Int64
}

// NewBalancer makes the target lead to the servers, given as addresses: turn returns the index of the server that a
// connection goes to, the first of which is 0.
func NewBalancer(t *testing.T, target *collectors.Target, turn func(connection int) int, servers ...string) *Balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	target.Host, target.Port = "127.0.0.1", listener.Addr().(*net.TCPAddr).Port

	b := &Balancer{servers: servers, turn: turn}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go b.serve(client, int(b.count.Add(1)-1))
		}
	}()
	return b
}

// Connections returns how many connections were made.
func (b *Balancer) Connections() int { return int(b.count.Load()) }

func (b *Balancer) serve(client net.Conn, connection int) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", b.servers[b.turn(connection)])
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()

	var ended sync.WaitGroup
	pass := func(from, to net.Conn) {
		_, _ = io.Copy(to, from)
		_ = from.Close()
		_ = to.Close()
	}
	ended.Go(func() { pass(client, server) })
	ended.Go(func() { pass(server, client) })
	ended.Wait()
}

// Address returns host and port as one text.
func Address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
