package fault

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Delay waits before the work.
func Delay(d time.Duration) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(d):
				next.ServeHTTP(w, r)
			case <-r.Context().Done():
			}
		})
	}
}

// Refuse answers with status and body, and the work is not done.
func Refuse(status int, body string) Effect {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			answer(w, status, []byte(body))
		})
	}
}

// Forget does the work and then answers with status and body instead of the result.
func Forget(status int, body string) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(newRecording(), r)
			answer(w, status, []byte(body))
		})
	}
}

// ForgetSlow is Forget for work that took longer than d: the platform gives up on long calls, at times.
func ForgetSlow(d time.Duration, status int, body string) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			started, recorded := time.Now(), newRecording()
			next.ServeHTTP(recorded, r)
			if time.Since(started) > d {
				answer(w, status, []byte(body))
				return
			}
			recorded.copyTo(w)
		})
	}
}

// Cut breaks the connection, and the work is not done.
func Cut() Effect {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}
}

// CutAfter does the work and then breaks the connection, once n bytes of the answer's body are written.
func CutAfter(n int) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorded := newRecording()
			next.ServeHTTP(recorded, r)
			if n > 0 {
				recorded.header.Set("Content-Length", strconv.Itoa(recorded.body.Len()))
				recorded.body.Truncate(min(n, recorded.body.Len()))
				recorded.copyTo(w)
				_ = http.NewResponseController(w).Flush()
			}
			panic(http.ErrAbortHandler)
		})
	}
}

// Alter does the work and changes the body of its answer, and the length that goes with it. Checksums in the answer's
// header stay as they were.
func Alter(change func(body []byte) []byte) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorded := newRecording()
			next.ServeHTTP(recorded, r)
			changed := change(recorded.body.Bytes())
			recorded.header.Set("Content-Length", strconv.Itoa(len(changed)))
			recorded.body = *bytes.NewBuffer(changed)
			recorded.copyTo(w)
		})
	}
}

// Around calls before ahead of a request's work, and after once it is done but not yet answered. Either may be nil.
func Around(before, after func()) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if before != nil {
				before()
			}
			recorded := newRecording()
			next.ServeHTTP(recorded, r)
			if after != nil {
				after()
			}
			recorded.copyTo(w)
		})
	}
}

// Trickle does the work and hands out the answer's body in pieces of n bytes, with a pause before each.
func Trickle(n int, pause time.Duration) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorded := newRecording()
			next.ServeHTTP(recorded, r)
			body := bytes.NewBuffer(recorded.body.Bytes())
			recorded.body = bytes.Buffer{}
			recorded.header.Set("Content-Length", strconv.Itoa(body.Len()))
			recorded.copyTo(w)
			for body.Len() > 0 {
				select {
				case <-time.After(pause):
				case <-r.Context().Done():
					return
				}
				_, _ = w.Write(body.Next(n)) // as in answer
				_ = http.NewResponseController(w).Flush()
			}
		})
	}
}

func answer(w http.ResponseWriter, status int, body []byte) {
	if json.Valid(body) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(status)
	// The client may have gone; that is no concern of the server's.
	_, _ = w.Write(body)
}

// recording holds an answer back.
type recording struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func newRecording() *recording { return &recording{status: http.StatusOK, header: http.Header{}} }

func (r *recording) Header() http.Header         { return r.header }
func (r *recording) WriteHeader(status int)      { r.status = status }
func (r *recording) Write(b []byte) (int, error) { return r.body.Write(b) }

func (r *recording) copyTo(w http.ResponseWriter) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes()) // as in answer
}
