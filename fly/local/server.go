package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// server is an HTTP server on one port of loopback. It may have more listeners: machines with a network of their own
// reach it at the same address. It is the isolation's Service.
type server struct {
	listener net.Listener
	http     *http.Server
	serving  sync.WaitGroup
}

// listen takes a port. Nothing is answered before serve.
func listen(ctx context.Context) (*server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	return &server{listener: listener}, nil
}

// Address is the server's, HOST:PORT.
func (s *server) Address() string { return s.listener.Addr().String() }

func (s *server) url() string { return "http://" + s.Address() }

func (s *server) serve(handler http.Handler) {
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // a fault that cuts a connection is no news
	}
	s.ServeOn(s.listener)
}

// ServeOn answers on another listener as well, until that listener or the server is closed.
func (s *server) ServeOn(listener net.Listener) {
	s.serving.Go(func() {
		// Serve's error only ever says that the listener was closed.
		_ = s.http.Serve(listener)
	})
}

func (s *server) close() error {
	if s.http == nil {
		return s.listener.Close()
	}
	err := s.http.Close()
	s.serving.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
