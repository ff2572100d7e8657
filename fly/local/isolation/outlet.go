package isolation

import (
	"net"
	"sync"
)

// outlet is a machine's way to a service outside. It can be cut: connections break, and new ones are closed at once.
type outlet struct {
	net.Listener

	mu    sync.Mutex
	isCut bool
	open  map[*outletConn]bool
}

type outletConn struct {
	net.Conn
	outlet *outlet
}

func newOutlet(l net.Listener) *outlet { return &outlet{Listener: l, open: map[*outletConn]bool{}} }

// Accept implements net.Listener.
func (o *outlet) Accept() (net.Conn, error) {
	for {
		conn, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := o.admit(conn); c != nil {
			return c, nil
		}
		_ = conn.Close()
	}
}

func (o *outlet) admit(conn net.Conn) net.Conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.isCut {
		return nil
	}
	c := &outletConn{conn, o}
	o.open[c] = true
	return c
}

func (o *outlet) cut(isCut bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.isCut = isCut
	if !isCut {
		return
	}
	for c := range o.open {
		_ = c.Conn.Close() // whoever serves it notices
	}
}

// Close implements net.Conn.
func (c *outletConn) Close() error {
	c.outlet.mu.Lock()
	delete(c.outlet.open, c)
	c.outlet.mu.Unlock()
	return c.Conn.Close()
}
