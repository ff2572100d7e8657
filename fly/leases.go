package fly

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"flydeploy/engine"
)

var _ engine.Leases = (*Client)(nil)

// nonceHeader shows that a request comes from the lease's holder. Source: fly-go, flaps.
const nonceHeader = "fly-machine-lease-nonce"

// leaseWithin bounds one request for a lease: nobody waits longer for a courtesy.
const leaseWithin = 10 * time.Second

// leaseAnswer is what Fly answers: {"status","data"} to fly-go, and the lease itself in the API's description.
type leaseAnswer struct {
	Nonce string `json:"nonce"`
	Data  struct {
		Nonce string `json:"nonce"`
	} `json:"data"`
}

func (a leaseAnswer) nonce() string { return cmp.Or(a.Data.Nonce, a.Nonce) }

// TakeLease implements engine.Leases.
func (c *Client) TakeLease(ctx context.Context, machineID, description string, ttl time.Duration) (nonce string, err error) {
	var answer leaseAnswer
	err = c.lease(ctx, request{op: "lease machine", method: http.MethodPost, machine: machineID, body: leaseRequest(description, ttl)}, ttl, &answer)
	if nonce = answer.nonce(); err == nil && nonce == "" {
		err = fmt.Errorf("lease machine %s: the answer names no nonce", machineID)
	}
	if err == nil {
		c.held.Store(machineID, nonce)
	}
	return nonce, err
}

// RenewLease implements engine.Leases. To the nonce of a lease that has expired the API may grant a new one, with another nonce.
func (c *Client) RenewLease(ctx context.Context, machineID, nonce, description string, ttl time.Duration) (valid string, err error) {
	var answer leaseAnswer
	r := request{op: "renew the lease of machine", method: http.MethodPost, machine: machineID, nonce: nonce, body: leaseRequest(description, ttl), repeatable: true}
	err = c.lease(ctx, r, ttl, &answer)
	valid = cmp.Or(answer.nonce(), nonce)
	switch {
	case err == nil:
		c.held.Store(machineID, valid)
	case isNotFound(err):
		c.held.Delete(machineID)
		err = fmt.Errorf("%w: %w", engine.ErrNoLease, err)
	}
	return valid, err
}

// ReleaseLease implements engine.Leases.
func (c *Client) ReleaseLease(ctx context.Context, machineID, nonce string) error {
	c.held.Delete(machineID)
	err := c.lease(ctx, request{op: "release the lease of machine", method: http.MethodDelete, machine: machineID, nonce: nonce, repeatable: true}, 0, nil)
	if isNotFound(err) {
		return nil
	}
	return err
}

// nonceOf gives the nonce of the lease that we hold on a machine, "" for none. Fly refuses writes to a leased machine without it, and
// may count an exec as one. Source: alchemy-run/distilled, pull request 628.
func (c *Client) nonceOf(machineID string) string {
	nonce, _ := c.held.Load(machineID)
	text, _ := nonce.(string)
	return text
}

// leaseRequest is the body that the API's description has; fly-go gives the time in the query.
func leaseRequest(description string, ttl time.Duration) any {
	body := map[string]any{"ttl": int(ttl.Seconds())}
	if description != "" {
		body["description"] = description
	}
	return body
}

func (c *Client) lease(ctx context.Context, r request, ttl time.Duration, out any) error {
	r.action, r.timeout, r.maxElapsed = "lease", leaseWithin, leaseWithin
	r.path = "/" + url.PathEscape(r.machine) + "/lease"
	if ttl > 0 {
		r.path += fmt.Sprintf("?ttl=%d", int(ttl.Seconds()))
	}
	err := c.do(ctx, r, out)
	if isStatus(err, http.StatusConflict) {
		return engine.NewProblem("leased", r.what(), err, engine.Remedies["leased"]).WithCause(engine.ErrLeased)
	}
	return err
}
