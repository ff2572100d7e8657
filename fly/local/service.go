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

// service is an HTTP server on one loopback port. It may have more listeners: machines with a network of their own
// reach it at the same address.
type service struct {
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
}

// listen takes a port. Nothing is answered before serve.
func listen(ctx context.Context) (*service, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	return &service{listener: listener}, nil
}

func (s *service) address() string { return s.listener.Addr().String() }
func (s *service) url() string     { return "http://" + s.address() }

func (s *service) serve(handler http.Handler) {
	s.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // a fault that cuts a connection is no news
	}
	s.serveOn(s.listener)
}

// serveOn answers on another listener as well, until that listener or the service is closed.
func (s *service) serveOn(listener net.Listener) {
	s.serving.Go(func() {
		// Serve's error only ever says that the listener was closed.
		_ = s.server.Serve(listener)
	})
}

func (s *service) close() error {
	if s.server == nil {
		return s.listener.Close()
	}
	err := s.server.Close()
	s.serving.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
