package fly_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/fly"
)

// inMemory carries requests to a handler, without a connection: for virtual time.
type inMemory struct{ http.Handler }

func (h inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	answer := recorder.Result()
	answer.Request = r
	return answer, nil
}

// A host may have to pull the image first: the temporary machine is waited for as long as flyctl does, and removed then.
func TestATemporaryMachineIsWaitedForLikeFlyctlDoes(t *testing.T) {
	for after, problem := range map[time.Duration]string{4*time.Minute + 50*time.Second: "", 5*time.Minute + 10*time.Second: "temporary_slow"} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &launches{state: "created", launch: created, machines: map[string]map[string]any{}}
				begun := time.Now()
				mux := http.NewServeMux()
				const machines = "/v1/apps/counter/machines"
				mux.HandleFunc("POST "+machines, l.create)
				mux.HandleFunc("GET "+machines, l.list)
				mux.HandleFunc("GET "+machines+"/{id}", func(w http.ResponseWriter, r *http.Request) {
					l.mu.Lock()
					if m := l.machines[r.PathValue("id")]; m != nil && time.Since(begun) >= after {
						m["state"] = "started"
					}
					l.mu.Unlock()
					l.get(w, r)
				})
				mux.HandleFunc("DELETE "+machines+"/{id}", l.remove)
				c, err := fly.New(fly.Options{App: "counter", Token: testToken, BaseURL: "http://api.test", Transport: inMemory{mux}})
				if err != nil {
					t.Fatal(err)
				}
				m, err := c.CreateTemporary(t.Context(), spec)
				if problem != "" {
					wantProblem(t, err, problem)
					if len(l.machines) != 0 {
						t.Errorf("left %v", l.machines)
					}
				} else if err != nil || m.State != "started" {
					t.Errorf("%+v, %v", m, err)
				}
			})
		})
	}
}
