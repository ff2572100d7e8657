package isolation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// raiseLoopback does by ioctl what `ip link set lo up` does.
func raiseLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("raise loopback: %w", err)
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("raise loopback: %w", err)
	}
	return nil
}

// addPrivateAddress gives the loopback interface the machine's address on Fly's network, by which a node that is named
// after it reaches itself. A kernel without IPv6 has none.
func addPrivateAddress(text string) error {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return nil // the trial's machine has none
	}
	socket, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("add the private address: %w", err)
	}
	defer unix.Close(socket)
	request := struct { // in6_ifreq of <linux/ipv6.h>
		address      [16]byte
		prefixLength uint32
		index        int32
	}{address.As16(), 128, 1} // lo is the first interface of every network namespace
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&request)))
	if errno != 0 && errno != unix.EADDRNOTAVAIL && errno != unix.EACCES { // IPv6 may be switched off
		return fmt.Errorf("add the private address: %w", errno)
	}
	return nil
}

// expose lets a service listen inside of the machine at the address that it has outside.
func (v *namespaceVM) expose(ctx context.Context, s Service) error {
	return v.thread.do(func() error {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Address())
		if err != nil {
			return fmt.Errorf("listen inside of the machine: %w", err)
		}
		o := newOutlet(listener)
		v.outlets = append(v.outlets, o)
		s.ServeOn(o)
		return nil
	})
}

func (v *namespaceVM) CutNetwork(isCut bool) {
	for _, o := range v.outlets {
		o.cut(isCut)
	}
}

// Dial takes a thread of its own: it may have to wait, and the machine's thread must not.
func (v *namespaceVM) Dial(ctx context.Context, port int) (net.Conn, error) {
	var conn net.Conn
	done := make(chan error)
	go onOwnThread(func() {
		err := v.enterNetwork()
		if err == nil {
			conn, err = new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		}
		done <- err
	})
	err := <-done
	return conn, err
}

// enterNetwork moves the calling thread. It may come too late: then the machine has ended.
func (v *namespaceVM) enterNetwork() error {
	file, err := v.network.SyscallConn()
	if err != nil {
		return err
	}
	var entered error
	err = file.Control(func(fd uintptr) { entered = unix.Setns(int(fd), unix.CLONE_NEWNET) })
	return errors.Join(err, entered)
}
