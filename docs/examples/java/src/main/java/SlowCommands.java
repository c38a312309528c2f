import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.List;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.extensions.python.PythonExternalTransform;
import org.apache.beam.sdk.io.TextIO;
import org.apache.beam.sdk.options.Default;
import org.apache.beam.sdk.options.Description;
import org.apache.beam.sdk.options.PipelineOptions;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.schemas.Schema;
import org.apache.beam.sdk.transforms.MapElements;
import org.apache.beam.sdk.values.PCollection;
import org.apache.beam.sdk.values.Row;
import org.apache.beam.sdk.values.TypeDescriptors;

/** Exports slow IMAP commands with dovebeam's transforms, which run in Python. */
public class SlowCommands {
  public interface Options extends PipelineOptions {
    @Description("Address of the expansion service")
    @Default.String("localhost:8097")
    String getExpansion();

    void setExpansion(String address);

    @Description("File of events")
    @Default.String("events.json")
    String getInput();

    void setInput(String path);

    @Description("File that is written")
    @Default.String("slow.json")
    String getOutput();

    void setOutput(String path);

    @Description("Filter of events")
    @Default.String("event=imap_command_finished AND duration > 50ms")
    String getFilter();

    void setFilter(String filter);
  }

  private static final Schema LINE = Schema.builder().addStringField("line").build();
  private static final Schema FORMAT =
      Schema.builder()
          .addStringField("format")
          .addArrayField("fields", Schema.FieldType.STRING)
          .build();

  public static void main(String[] args) {
    Options options = PipelineOptionsFactory.fromArgs(args).withValidation().as(Options.class);
    Pipeline pipeline = Pipeline.create(options);
    pipeline
        .apply("Read", TextIO.read().from(options.getInput()))
        .apply(
            "ToRows",
            MapElements.into(TypeDescriptors.rows())
                .via(line -> Row.withSchema(LINE).addValue(line).build()))
        .setRowSchema(LINE)
        .apply("DovecotEvents", dovebeam(options, "DovecotEvents").withKwarg("field", "line"))
        .apply("MatchMetric", dovebeam(options, "MatchMetric").withKwarg("filter", options.getFilter()))
        .apply(
            "FormatEvents",
            dovebeam(options, "FormatEvents")
                .withKwargs(
                    Row.withSchema(FORMAT)
                        .addValues("json", List.of("user", "cmd_name", "duration"))
                        .build()))
        .apply(
            "ToText",
            MapElements.into(TypeDescriptors.strings())
                .via(row -> new String(row.getBytes("payload"), UTF_8)))
        .apply("Write", TextIO.write().to(options.getOutput()).withoutSharding());
    pipeline.run().waitUntilFinish();
  }

  /** One of dovebeam's transforms of rows. */
  private static PythonExternalTransform<PCollection<Row>, PCollection<Row>> dovebeam(
      Options options, String name) {
    return PythonExternalTransform.from("dovebeam.transforms.yaml." + name, options.getExpansion());
  }
}
