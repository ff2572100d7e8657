package counter

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxAnswer bounds an answer, in bytes; the full list of 100,000 counters is about 6 MB.
const maxAnswer = 16 << 20

// conn is one keep-alive connection. It never repeats a request, which net/http's transport does: a connection that
// was cut under a request must show as a failure. Not for concurrent use; after an error it is of no more use.
type conn struct {
	net    net.Conn
	reader *bufio.Reader
}

func dialConn(ctx context.Context, dial Dial) (*conn, error) {
	nc, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{net: nc, reader: bufio.NewReader(nc)}, nil
}

func (c *conn) close() { _ = c.net.Close() }

// do sends one request without a body and gives the answer's body. An answer other than 200 is a *StatusError.
func (c *conn) do(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://counter"+path, nil)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.net.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	body, err := c.exchange(request)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return body, err
}

func (c *conn) exchange(request *http.Request) ([]byte, error) {
	if err := request.Write(c.net); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.reader, request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, &StatusError{Code: response.StatusCode, Body: strings.TrimSpace(string(body))}
	}
	return body, nil
}

// StatusError is an answer other than 200.
type StatusError struct {
	Code int
	Body string
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Code, e.Body) }
