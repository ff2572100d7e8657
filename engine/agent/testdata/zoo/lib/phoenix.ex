# Stand-ins for what Phoenix runs in a VM, as far as an upgrade meets it: the same names, records and messages.

defmodule Phoenix.LiveView do
  @moduledoc false
  @callback render(map) :: String.t()
end

defmodule Phoenix.LiveComponent do
  @moduledoc false
  @callback render(map) :: String.t()
end

defmodule Phoenix.LiveView.Channel do
  @moduledoc false
  use GenServer

  # LiveView waits for 15 s.
  def start_link({view, name}),
    do: GenServer.start_link(__MODULE__, view, name: name, hibernate_after: 10)

  def init(view) do
    Process.put(:"$initial_call", {view, :mount, 3})
    {:ok, render(%{socket: %{view: view, assigns: %{}}, rendered: []})}
  end

  def handle_info({:phoenix_live_reload, _topic, _path}, state), do: {:noreply, render(state)}
  def handle_call(:state, _from, s), do: {:reply, {s.rendered, s.socket.assigns}, s}

  def code_change(old, %{socket: socket} = state, extra) do
    if function_exported?(socket.view, :code_change, 3) do
      {:ok, socket} = socket.view.code_change(old, socket, extra)
      {:ok, %{state | socket: socket}}
    else
      {:ok, state}
    end
  end

  defp render(s), do: %{s | rendered: [s.socket.view.render(s.socket.assigns) | s.rendered]}
end

defmodule Phoenix.Channel do
  @moduledoc false
  @callback join(term, term, term) :: term
end

defmodule Phoenix.Channel.Server do
  @moduledoc false
  use GenServer

  # Phoenix waits for 15 s.
  def start_link({channel, name}),
    do: GenServer.start_link(__MODULE__, channel, name: name, hibernate_after: 10)

  def init(channel) do
    Process.put(:"$initial_call", {channel, :join, 3})
    {:ok, %{channel: channel, assigns: []}}
  end

  def handle_call(:state, _from, s), do: {:reply, s.assigns, s}
  def code_change(old, %{channel: channel} = socket, extra), do: channel.code_change(old, socket, extra)
end

defmodule Phoenix.Endpoint do
  @moduledoc false
  @callback config_change(term, term) :: term
end
