package rehearse

import (
	"cmp"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// defaultPort is where machines listen whose environment has no PORT.
const defaultPort = 8080

// port is the one on which the application listens.
func (r *Rehearsal) port() int {
	port, err := strconv.Atoi(cmp.Or(r.options.MachineEnv["PORT"], r.options.Env["PORT"]))
	if err != nil {
		return defaultPort
	}
	return port
}

// dial connects to a port of a machine.
type dial func(ctx context.Context, machine string, port int) (net.Conn, error)

// dialWithin bounds one connection to a machine.
const dialWithin = 5 * time.Second

// ports lead to the machines from loopback: the first to all in turn, as Fly's proxy does, and one to each.
type ports struct {
	listeners []net.Listener
	ctx       context.Context // of all connections
	end       context.CancelFunc
	serving   sync.WaitGroup
}

func openPorts(machines []string, port int, to dial) (*ports, error) {
	p := &ports{}
	p.ctx, p.end = context.WithCancel(context.Background())
	for i := range len(machines) + 1 {
		targets := machines
		if i > 0 {
			targets = machines[i-1 : i]
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			p.close()
			return nil, err
		}
		p.listeners = append(p.listeners, listener)
		p.serving.Go(func() { p.serve(listener, targets, port, to) })
	}
	return p, nil
}

// url is the address of all machines, urls are those of each, with blanks between them.
func (p *ports) url() string { return "http://" + p.listeners[0].Addr().String() }

func (p *ports) urls() string {
	var urls []string
	for _, l := range p.listeners[1:] {
		urls = append(urls, "http://"+l.Addr().String())
	}
	return strings.Join(urls, " ")
}

func (p *ports) serve(listener net.Listener, machines []string, port int, to dial) {
	var turn atomic.Uint64
	for {
		client, err := listener.Accept()
		if err != nil {
			return // it was closed
		}
		first := turn.Add(1)
		p.serving.Go(func() {
			defer client.Close()
			for i := range machines {
				machine := machines[(first+uint64(i))%uint64(len(machines))]
				ctx, cancel := context.WithTimeout(p.ctx, dialWithin)
				server, err := to(ctx, machine, port)
				cancel()
				if err == nil {
					p.join(client, server)
					return
				}
			}
		})
	}
}

// join passes on what each of the two says, until both have said all, or the ports are closed.
func (p *ports) join(client, server net.Conn) {
	defer server.Close()
	defer context.AfterFunc(p.ctx, func() { client.Close(); server.Close() })()
	var passing sync.WaitGroup
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // a connection that breaks is the client's to notice
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}
	passing.Go(func() { pass(server, client) })
	pass(client, server)
	passing.Wait()
}

func (p *ports) close() {
	p.end()
	for _, l := range p.listeners {
		_ = l.Close()
	}
	p.serving.Wait()
}
