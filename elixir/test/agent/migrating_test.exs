Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.MigratingTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Migrating, Versions}

  @moduletag :tmp_dir

  test "who has a migration that does something counts, and nobody else", %{tmp_dir: dir} do
    beams =
      Versions.beams("""
      defmodule T.Migrates do
        use GenServer
        def init(s), do: {:ok, s}
        def code_change(_, s, _), do: {:ok, {:new, s}}
      end

      defmodule T.Keeps do
        use GenServer
        def init(s), do: {:ok, s}
      end

      defmodule T.Door do
        @behaviour :gen_statem
        def callback_mode, do: :handle_event_function
        def init(s), do: {:ok, :closed, s}
        def handle_event(_, _, _, _), do: :keep_state_and_data
        def code_change(_, state, data, _), do: {:ok, state, data}
      end
      """)

    changes =
      for {module, beam} <- beams do
        source = Path.join(dir, "#{module}.beam")
        File.write!(source, beam)
        %{module: module, source: source}
      end

    targets =
      for {module, n} <- [{T.Migrates, 3}, {T.Keeps, 5}, {T.Door, 2}], _ <- 1..n, do: %{units: [{module, 1}]}

    assert Migrating.count([%{units: []} | targets], changes) == 5
    # A wrapper's module that is not told of may do anything.
    assert Migrating.count([%{units: [{T.Unknown, 1}, {T.Keeps, 1}]}], changes) == 1
  end
end
