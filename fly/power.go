package fly

import (
	"context"
	"errors"
	"net/http"
	"time"

	flyapi "github.com/superfly/fly-go"
)

// MayCreate asks whether the token may create and destroy machines; nil is yes. It changes nothing: the launch that it
// asks for names no image, so that the API refuses it, for the token's lack of rights or else for that.
func (c *Client) MayCreate(ctx context.Context) error {
	var m flyapi.Machine
	err := c.do(ctx, request{
		op: "create a machine", action: "launch", method: http.MethodPost,
		body:    flyapi.LaunchMachineInput{SkipLaunch: true, SkipServiceRegistration: true, Config: &flyapi.MachineConfig{}},
		timeout: 15 * time.Second, patience: 15 * time.Second,
	}, &m)
	var failed *requestError
	switch {
	case err == nil: // not documented to be possible; then it is gone at once
		return c.remove(context.WithoutCancel(ctx), m.ID)
	case !errors.As(err, &failed):
		return err
	case failed.status == http.StatusBadRequest, failed.status == http.StatusUnprocessableEntity, failed.noSuchImage():
		return nil
	}
	return err
}
