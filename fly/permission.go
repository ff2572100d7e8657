package fly

import (
	"context"
	"errors"
	"net/http"
	"time"

	flyapi "github.com/superfly/fly-go"
)

// MayCreate returns nil if the token may create and destroy machines. It changes nothing: it requests a launch without an
// image, which the API refuses either because the token lacks the permission or because the image is missing.
func (c *Client) MayCreate(ctx context.Context) error {
	var m flyapi.Machine
	err := c.do(ctx, request{
		op: "create a machine", action: "launch", method: http.MethodPost,
		body:    flyapi.LaunchMachineInput{SkipLaunch: true, SkipServiceRegistration: true, Config: &flyapi.MachineConfig{}},
		timeout: 15 * time.Second, maxElapsed: 15 * time.Second,
	}, &m)
	var failed *requestError
	switch {
	case err == nil: // according to the documentation this cannot happen
		return c.remove(context.WithoutCancel(ctx), m.ID)
	case !errors.As(err, &failed):
		return err
	case failed.needsPayment():
		return err
	case failed.status == http.StatusBadRequest, failed.status == http.StatusUnprocessableEntity, failed.noSuchImage():
		return nil
	}
	return err
}
