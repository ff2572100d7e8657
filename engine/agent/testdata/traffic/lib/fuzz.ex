# What the window is tried with (make fuzz-window). The test makes later versions of these modules by another @version: to and fro,
# their migrations and templates do what the state says.

defmodule Traffic.Fuzz do
  @moduledoc "A server, which may hibernate after each call."
  use GenServer
  @version 1
  @vsn @version
  def version, do: @version
  def start_link({name, plan}), do: GenServer.start_link(__MODULE__, plan, name: name)
  def init({trouble, rest}), do: {:ok, %{trouble: trouble, rest: rest, v: @version}}
  def handle_call({:work, ms}, _from, s), do: {:reply, Process.sleep(ms), s, s.rest}
  def handle_call(:state, _from, s), do: {:reply, s, s, s.rest}

  def ask(name) do
    s = GenServer.call(name, :state, :infinity)
    {:ok, s.v}
  end

  # One that was born in this version is asked as well.
  def code_change(_from, %{v: @version} = s, _), do: {:ok, s}

  def code_change(_from, s, _) do
    Traffic.Trouble.make(s.trouble)
    {:ok, %{s | v: @version}}
  end
end

defmodule Traffic.Late do
  @moduledoc "Nobody starts it before the window."
  use GenServer
  @version 1
  @vsn @version
  def init(_), do: {:ok, %{trouble: nil, v: @version}}
  def handle_call(:state, _from, s), do: {:reply, s, s}
  def code_change(_from, s, _), do: {:ok, %{s | v: @version}}
end

defmodule Traffic.Page do
  @moduledoc "An open page. What gives it trouble is assigned to it, with the version that it was opened in."
  @behaviour Phoenix.LiveView
  @version 1
  @vsn @version
  alias Phoenix.LiveView.{Component, Rendered, Utils}

  @impl true
  def render(assigns) do
    with {:render, trouble} when assigns.from != @version <- assigns[:trouble],
         do: Traffic.Trouble.make(trouble)

    state = Map.get(assigns, :v, @version)

    Rendered.new(["page #{@version} of ", " ", ""], fn _ ->
      ["#{state}", Component.new(Traffic.Part, "part")]
    end)
  end

  def code_change(_from, %{assigns: assigns} = socket, _) do
    with {:migrate, trouble} when assigns.from != @version <- assigns[:trouble],
         do: Traffic.Trouble.make(trouble)

    {:ok, Utils.assign(socket, :v, @version)}
  end
end

defmodule Traffic.Part do
  @moduledoc "A component, which knows the version that it was mounted in."
  @behaviour Phoenix.LiveComponent
  @version 1
  @vsn @version
  alias Phoenix.LiveView.{Rendered, Utils}
  def mount(socket), do: {:ok, Utils.assign(socket, :mounted, @version)}
  @impl true
  def render(assigns), do: Rendered.new(["part #{@version} of ", ""], fn _ -> ["#{assigns.mounted}"] end)
end
